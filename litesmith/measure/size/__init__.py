"""Where every byte of a program went: ELF file and linker map → buckets, ops and symbols.

``elf`` and ``linkmap`` read, ``anatomy`` gives each byte an owner, ``report`` is ``size.json``;
``diff``, ``gate`` and ``page`` are what people do with it.
"""
