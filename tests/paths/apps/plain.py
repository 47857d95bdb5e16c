"""A WSGI application without a framework: it is asked for what the server has decoded."""


def application(environ, start_response):
    # Slashes in front are cut by some applications and kept by others: the first finds more.
    path = environ["PATH_INFO"].lstrip("/")
    handler = "admin" if path == "admin" or path.startswith("admin/") else "other"
    start_response("200 OK", [("X-Handler", handler), ("Content-Length", "0")])
    return [b""]
