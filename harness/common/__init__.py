"""What every package may use: text, signals, files and the channel.

In: bytes, texts and sockets of other packages; out: the same, made safe to print, send or store.
"""
