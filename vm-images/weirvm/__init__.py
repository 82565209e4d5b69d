"""Guests for Weir's tests and demo: the image, QEMU and libvirt. Standard library only."""
