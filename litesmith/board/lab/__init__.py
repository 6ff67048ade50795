"""A bench without hardware: virtual boards with foreign root file systems and real SSH servers.

``emulation`` lets this machine run foreign programs, ``rootfs`` makes a board's root file system,
``boards`` starts and removes the boards.
"""
