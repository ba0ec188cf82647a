"""Numba kernels: arrays and addresses in, preallocated arrays out, codes back.

No objects, strings, exceptions, clock or validation here: the twin module one floor up checks what goes in.
"""
