"""The people of a server: who they are, what they may do, what they did. Layer: people.

One small file beside the person's settings holds all of it. It knows no HTTP and no library; the
gateway asks it who is there, the commands of `relook user` write it.
"""
