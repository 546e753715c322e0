"""How the browser's files are stored, under names that change with their content, and served."""

from __future__ import annotations

from contextlib import closing

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile
from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedModulesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc] # untyped
    """Puts the hashed names into the imports of JavaScript modules as well.

    Without that a page of the new version would import what its browser still has of the old one.
    """

    support_js_module_import_aggregation = True


class WholeFiles(WhiteNoiseMiddleware):  # type: ignore[misc] # untyped
    """Reads a file at once: under ASGI Django would do so as well, with a warning for each."""

    @staticmethod
    def serve(static_file: StaticFile, request: HttpRequest) -> HttpResponse:
        """Return the file, a part of it, its headers alone, or that it has not changed."""
        found = static_file.get_response(request.method, request.META)
        content = b""
        if found.file is not None:
            with closing(found.file):
                content = found.file.read()
        response = HttpResponse(content, status=int(found.status))
        del response["Content-Type"]
        for name, value in found.headers:
            response[name] = value
        return response
