//! Ten thousand messages that must not be taken: malformed, cut, with a bit turned, or brought again.

use pagi_api::twins::CreateTwin;
use pagi_didcomm::{BasicMessage, Headers, Packing, pack};
use pagi_messages::{Did, SigningIdentity};
use pagi_twin::{messaging::ReceiveError, now_ms};

use crate::rig::rig;

/// Messages one mind looks at before it has had enough for the moment.
const AT_ONCE: usize = 290;
const TRIED: usize = 10_000;

/// Bytes this process holds; `None` where the system does not say.
fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * 4096)
}

/// A small, fixed sequence of numbers, so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}

#[tokio::test]
async fn ten_thousand_hostile_messages_are_refused_and_leave_nothing_behind() {
    let stranger = SigningIdentity::from_seed(&[77; 32]);
    let mut numbers = Numbers(0xBEE5);
    let (mut tried, mut replayed, mut malformed, mut held_back) = (0, 0, 0, 0);
    let mut before = None;
    while tried < TRIED {
        let rig = rig();
        let twin = rig.mind.create_twin(CreateTwin::default()).await.unwrap();
        let to: Did = twin.did.parse().unwrap();
        let packed = |packing, id: &str| {
            let mut headers = Headers::new(id, stranger.did(), &to, now_ms() / 1000);
            if packing == Packing::Anoncrypt {
                headers.from = None;
            }
            let message = BasicMessage::message(headers, "hello", None);
            pack(&message, packing, Some(&stranger), &to).unwrap()
        };
        let good = [
            packed(Packing::Authcrypt, "a"),
            packed(Packing::HiddenAuthcrypt, "e"),
            packed(Packing::Signed, "b"),
            packed(Packing::SignedThenEncrypted, "c"),
            packed(Packing::Anoncrypt, "d"),
        ];
        for good in &good {
            rig.mind.receive_message(good).await.unwrap();
        }
        for _ in 0..AT_ONCE {
            let original = &good[numbers.below(good.len())];
            let mut bytes = original.clone().into_bytes();
            let at = numbers.below(bytes.len());
            match tried % 5 {
                0 => bytes[at] ^= 1 << numbers.below(8),
                1 => bytes.truncate(at),
                2 => bytes.insert(at, b'A'),
                3 => bytes = b"{\"recipients\":".repeat(1 + numbers.below(64)),
                _ => {}
            }
            let text = String::from_utf8_lossy(&bytes).into_owned();
            match rig.mind.receive_message(&text).await {
                Ok(taken) => panic!("taken: {taken:?}\n{text}"),
                Err(ReceiveError::Replayed) => replayed += 1,
                Err(ReceiveError::TooMany) => held_back += 1,
                Err(ReceiveError::Malformed(_) | ReceiveError::UnknownRecipient(_)) => {
                    malformed += 1;
                }
                Err(other) => panic!("{other}: {text}"),
            }
            tried += 1;
        }
        let inbox = rig.mind.inbox(&twin.twin_id, false, 1_000).unwrap();
        assert_eq!(inbox.len(), good.len());
        assert!(rig.store.outbox().unwrap().is_empty());
        before = before.or_else(resident);
    }
    assert!(
        replayed > 0 && malformed > TRIED / 2,
        "{replayed} {malformed}"
    );
    // Those that came too fast to be looked at are few: the checks were met, not the limit.
    assert!(held_back < TRIED / 4, "{held_back}");
    if let (Some(before), Some(after)) = (before, resident()) {
        let grown = after.saturating_sub(before);
        assert!(grown < 256 * 1024 * 1024, "{grown} bytes more");
    }
}
