"""The life suite: what people do, in any order, against a model of what must be true.

`world` is the folders and their pictures, `model` what a library must hold, `steps` what
people do, `sequences` draws, runs and shortens sequences of steps.
"""
