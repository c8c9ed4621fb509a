//! What the mind asks of the credentials this node keeps.

use std::sync::Weak;

use pagi_messages::Did;

use super::notices::Board;

/// What the mind asks.
pub struct Eyes(pub Weak<Board>);

impl pagi_twin::ports::Esteem for Eyes {
    fn standing(&self, did: &Did) -> f64 {
        self.0
            .upgrade()
            .map_or(0.0, |board| board.vouches.esteem(did))
    }
}
