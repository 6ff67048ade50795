"""A lab without hardware: virtual boards with foreign root file systems and real SSH servers.

``binfmt`` lets this machine run foreign programs, ``root_file_system`` makes a board's root file system, and
``virtual_boards`` starts and removes the boards.
"""
