"""Django: an admin under /admin/, all else to another view."""

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import re_path

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="a test's", APPEND_SLASH=True,
                   MIDDLEWARE=["django.middleware.common.CommonMiddleware"])


def view(handler):
    return lambda request: HttpResponse(headers={"X-Handler": handler})


urlpatterns = [re_path(r"^admin(?:/|$)", view("admin")), re_path(r"", view("other"))]
application = get_wsgi_application()
