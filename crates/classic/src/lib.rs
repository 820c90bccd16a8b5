//! Classic classifiers on rows of numbers that describe images: logistic regression, support
//! vector machines and nearest neighbours, on the embeddings of a frozen network or on histograms
//! of oriented gradients.
//!
//! Does not make embeddings of networks (see `embed` in the room eval) and knows no burn.

pub mod classifier;
pub mod hog;
pub mod kernel;
pub mod knn;
pub mod lbfgs;
pub mod linear;
pub mod scaling;
pub mod stages;

pub use classifier::{Classifier, Method};
pub use hog::Hog;
pub use stages::{Classify, FitClassifier};

#[cfg(test)]
mod golden_tests;
