//! A convolutional network whose last maps are read row by row by an LSTM (after Breuel et al. 2013's
//! and Shi, Bai, Yao 2017's readers of text, which read column by column).
//!
//! The backbone's maps `[c, h, w]` become h tokens of c·w values; what the LSTM holds after the last
//! row is classified.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::builder::{Builder, Value};
use crate::init::Init;
use crate::layers::Linear;
use crate::layers::lstm::Lstm;
use crate::layers::tokens::Rows;
use crate::model::Architecture;
use crate::zoo::backbone::Backbone;
use crate::zoo::common::check_dropout;
use crate::zoo::resnet::ResnetConfig;

/// A network read by an LSTM.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CnnLstmConfig {
    /// The network whose last maps are read.
    pub backbone: Backbone,
    /// Values that the LSTM holds.
    #[schemars(range(min = 1, max = 65_536))]
    pub hidden: usize,
    /// Whether it also reads from the last row to the first.
    pub bidirectional: bool,
    /// Probability of dropping a held value while training.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub dropout: f64,
    /// How the first weights are drawn where the backbone and the LSTM don't say.
    pub init: Init,
}

impl Default for CnnLstmConfig {
    fn default() -> Self {
        Self {
            backbone: Backbone::Resnet(ResnetConfig::default()),
            hidden: 128,
            bidirectional: false,
            dropout: 0.0,
            init: Init::HeNormalFanOut,
        }
    }
}

impl Architecture for CnnLstmConfig {
    type Size = ();

    fn body(&self, (): &(), net: &mut Builder, images: Value) -> Value {
        net.require(self.hidden > 0, || "`hidden` must be at least 1".to_owned());
        check_dropout(net, self.dropout);
        self.backbone.body(net, images)
    }

    fn head(&self, (): &(), net: &mut Builder, features: Value, classes: usize) -> Value {
        let x = net.layer("", Rows, &[features]);
        let x = net.layer("lstm", Lstm { hidden: self.hidden, bidirectional: self.bidirectional }, &[x]);
        let x = net.dropout("dropout", x, self.dropout);
        net.classifier("fc", x, Linear::new(classes).init(Init::Torch))
    }

    fn init(&self) -> Init {
        self.init
    }

    fn small((): &()) -> Self {
        let backbone = Backbone::Resnet(ResnetConfig { depth: 8, width: 8, ..ResnetConfig::default() });
        Self { backbone, hidden: 24, ..Self::default() }
    }
}
