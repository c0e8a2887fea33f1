//! Layers over [`ops`](crate::ops), with PyTorch's weight layouts and names.
