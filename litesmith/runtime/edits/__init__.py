"""Textual changes of upstream's files, made when an archive is unpacked.

Some make upstream's code correct on every target.  The others are guarded by ``LITESMITH_PRUNED`` or
``LITESMITH_DTYPES``, which only pruned builds define: without these defines, the code is upstream's.
"""
