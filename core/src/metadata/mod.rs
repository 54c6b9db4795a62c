//! The cluster's facts as records, and the image that they add up to.
