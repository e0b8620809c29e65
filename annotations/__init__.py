"""Official annotation files as plain records: what the data modules train on and what the result command scores against.

Nothing here opens a video or knows of torch, clips or Lightning. A reader keeps what the file says, odd values included
(an interval that ends before it starts, past the end of its video), and refuses what it cannot understand with the line.
"""
