"""From source files (HDF5, DICOM, phantoms) to verified TFRecord pairs. Imports nothing of wgan_vgg."""
