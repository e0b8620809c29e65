"""From a path and a rate to a uint8 tensor, without Lightning.

The letters used in every room: **B** videos in a batch, **V** views of one video (rates × positions × crops, rate
outermost), **C** channels, **T** frames in a view, **H W** height and width, **D** feature channels, **K** labels,
**N** frames in the file, **M** distinct frames that the views of one video show.
"""
