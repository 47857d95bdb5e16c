"""Flask: routes as its manual writes them."""

from flask import Flask, Response

application = Flask(__name__)


@application.route("/admin/", defaults={"rest": ""})
@application.route("/admin/<path:rest>")
def admin(rest):
    return Response(headers={"X-Handler": "admin"})


@application.route("/", defaults={"rest": ""})
@application.route("/<path:rest>")
def other(rest):
    return Response(headers={"X-Handler": "other"})
