"""Programs and models onto boards, and proven there.

``inventory`` says what boards there are, ``remote`` talks to one and ``known_hosts`` says whether it is the
right one, ``probe`` asks what it is, ``lock`` keeps others away, ``package`` is what travels, ``files`` sends
it and ``programs`` runs it there, ``deployer`` walks through the steps, ``flashing`` has a runner write into
boards without SSH, ``fleet`` does so for many.
"""
