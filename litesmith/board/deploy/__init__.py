"""Deploying programs and models to boards.

``inventory`` describes the boards.  ``ssh_connection`` opens a connection, ``known_hosts`` checks the host
key, and ``ssh_remote`` runs scripts over it by the protocol of ``remote``.  ``probe`` asks a board for its
facts, ``lock`` keeps other deployments out, ``package`` is what is sent, ``uploads`` sends it, and
``executor`` runs it on the board.  ``deployer`` combines these steps; ``flashing`` writes programs to boards
without SSH, with a flash tool; ``fleet`` does either for many boards at once.
"""
