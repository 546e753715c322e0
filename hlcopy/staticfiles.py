"""How the browser's files are stored: under names that change with their content."""

from __future__ import annotations

from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedModulesStorage(CompressedManifestStaticFilesStorage):  # type: ignore[misc] # untyped
    """Puts the hashed names into the imports of JavaScript modules as well.

    Without that a page of the new version would import what its browser still has of the old one.
    """

    support_js_module_import_aggregation = True
