"""Lists of files to download, in the formats people have them in: an iterator of lines in, rows out; pure."""
