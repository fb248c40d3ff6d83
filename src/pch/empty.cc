// A library needs a source file; this one is here for its precompiled header.
