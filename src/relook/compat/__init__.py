"""What keeps older programs and their files working. Layer: compat.

Nothing imports this room but the commands that offer it.
"""
