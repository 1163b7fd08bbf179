"""Become a program that is not Python, as another user if need be, and still die with whoever started this process.

Run through `tied`: `nectorbridge.chaos.native PARENT USER PROGRAM ARGUMENT...`; an empty USER keeps the present one.
"""

from __future__ import annotations

import os
import pwd
import sys

from nectorbridge.processes.tied import tie_to


def main(parent: str, user: str, *command: str) -> None:
    """Change the user, tie this process once more (the kernel forgets it with the user), and become the program."""
    if user:
        account = pwd.getpwnam(user)
        os.setgroups([])
        os.setgid(account.pw_gid)
        os.setuid(account.pw_uid)
    tie_to(int(parent))
    os.execv(command[0], command)  # noqa: S606 - a server of our own choice


if __name__ == "__main__":
    main(*sys.argv[1:])
