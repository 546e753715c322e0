"""The account that PostgreSQL runs as when we are root, and what that account can reach."""

from __future__ import annotations

import os
import pwd
import stat
from functools import cache
from pathlib import Path


@cache
def database_account() -> pwd.struct_passwd | None:
    """Return the account to drop to (`postgres`, else `nobody`), or None if we are not root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def can_reach(path: Path, account: pwd.struct_passwd) -> bool:
    """Return whether the account may enter every directory on the way to `path`, and `path`."""
    resolved = path.resolve()
    return all(_may_enter(step.stat(), account) for step in (resolved, *resolved.parents))


def _may_enter(status: os.stat_result, account: pwd.struct_passwd) -> bool:
    """Return whether the execute bit that applies to the account is set."""
    if status.st_uid == account.pw_uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.pw_gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)
