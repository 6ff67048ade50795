"""Where every byte of a program went: ELF file and linker map → buckets, ops and symbols.

``elf`` and ``linkmap`` read files.  ``range_map``, ``merged_sections``, ``owners`` and
``dissection`` give each byte an owner; the results are ``anatomy`` (every symbol) and
``size_report`` (buckets and ops).  ``measurement`` builds and measures, ``snapshot`` reads a
measured build again, ``diff`` and ``gate`` compare.
"""
