"""Where every HDF5 file that is read is opened: our own, which disks damage, and those from elsewhere."""
