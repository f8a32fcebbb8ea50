"""The virtual machine as a host: Vagrant brings it up, one SSH session enters it.

In: a provider, a box and what a scenario wants of the machine; out: a host.
"""
