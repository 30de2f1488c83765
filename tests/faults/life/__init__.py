"""The life suite: what people do, in any order, against a model of what must be true.

`world` is the folders and their pictures, `model` what a library must hold, `indexing_run` what
a run of indexing may make of it, `steps` what people do, `sequences` draws, runs and shortens
sequences of steps.
"""
