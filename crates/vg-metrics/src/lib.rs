//! Metrics of video generation, each under a name that fixes its protocol.
