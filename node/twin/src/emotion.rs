//! A twin's emotion: valence and activation (Russell's circumplex), moved by outcomes, decaying to
//! rest.

use pagi_store::EmotionRecord;

/// What happened to a twin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A goal was reached.
    Success,
    /// A goal was not reached.
    Failure,
    /// The ethics gate refused.
    Refusal,
}

/// Half of a deviation from rest is gone after this long, milliseconds.
pub const HALF_LIFE_MS: u64 = 30 * 60 * 1000;
/// Activation at rest.
pub const REST_ACTIVATION: f64 = 0.3;
/// Valence at rest.
pub const REST_VALENCE: f64 = 0.0;

/// The emotion of a twin nothing has happened to.
#[must_use]
pub fn at_rest(now_ms: u64) -> EmotionRecord {
    EmotionRecord {
        mood: mood(REST_VALENCE, REST_ACTIVATION).to_owned(),
        activation_level: REST_ACTIVATION,
        valence: REST_VALENCE,
        updated_at_ms: now_ms,
    }
}

/// The word for a state.
#[must_use]
pub fn mood(valence: f64, activation: f64) -> &'static str {
    match (valence, activation) {
        (v, a) if v > 0.2 && a >= 0.5 => "excited",
        (v, _) if v > 0.2 => "content",
        (v, a) if v < -0.2 && a >= 0.5 => "tense",
        (v, _) if v < -0.2 => "low",
        (_, a) if a >= 0.6 => "alert",
        _ => "calm",
    }
}

/// The valence a mood word speaks of, for words a user sets.
#[must_use]
pub fn valence_of(mood: &str) -> f64 {
    match mood.to_lowercase().as_str() {
        "excited" | "happy" | "joyful" | "proud" | "enthusiastic" => 0.7,
        "content" | "curious" | "confident" | "hopeful" | "focused" | "relaxed" => 0.4,
        "tense" | "angry" | "afraid" | "anxious" | "frustrated" | "stressed" => -0.6,
        "low" | "sad" | "tired" | "bored" | "worried" => -0.4,
        _ => 0.0,
    }
}

/// The emotion at `now_ms`. A clock that went backwards changes nothing.
#[must_use]
pub fn decayed(emotion: &EmotionRecord, now_ms: u64) -> EmotionRecord {
    let elapsed = now_ms.saturating_sub(emotion.updated_at_ms);
    if elapsed == 0 {
        return emotion.clone();
    }
    let keep = 0.5_f64.powf(elapsed as f64 / HALF_LIFE_MS as f64);
    let towards = |value: f64, rest: f64| rest + (value - rest) * keep;
    let valence = towards(emotion.valence, REST_VALENCE);
    let activation = towards(emotion.activation_level, REST_ACTIVATION);
    // A word the user chose stays while most of the feeling does.
    let word = if keep > 0.5 {
        emotion.mood.clone()
    } else {
        mood(valence, activation).to_owned()
    };
    EmotionRecord {
        mood: word,
        activation_level: activation,
        valence,
        updated_at_ms: now_ms,
    }
}

/// The emotion after `outcome` at `now_ms`.
#[must_use]
pub fn moved(emotion: &EmotionRecord, outcome: Outcome, now_ms: u64) -> EmotionRecord {
    let now = decayed(emotion, now_ms);
    let (valence, activation) = match outcome {
        Outcome::Success => (0.25, 0.05),
        Outcome::Failure => (-0.3, 0.2),
        Outcome::Refusal => (-0.1, 0.1),
    };
    let valence = (now.valence + valence).clamp(-1.0, 1.0);
    let activation = (now.activation_level + activation).clamp(0.0, 1.0);
    EmotionRecord {
        mood: mood(valence, activation).to_owned(),
        activation_level: activation,
        valence,
        updated_at_ms: now_ms.max(emotion.updated_at_ms),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn outcomes_move_and_time_heals() {
        let rest = at_rest(0);
        assert_eq!(rest.mood, "calm");
        let bad = moved(&moved(&rest, Outcome::Failure, 1), Outcome::Failure, 2);
        assert_eq!(bad.mood, "tense");
        assert!(bad.valence < -0.5 && bad.activation_level > 0.6);
        let later = decayed(&bad, 2 + 10 * HALF_LIFE_MS);
        assert_eq!(later.mood, "calm");
        assert!(later.valence.abs() < 0.01);
        let good = moved(&rest, Outcome::Success, 1);
        assert_eq!(good.mood, "content");
    }

    #[test]
    fn a_chosen_word_stays_for_half_a_life() {
        let chosen = EmotionRecord {
            mood: "curious".into(),
            activation_level: 0.9,
            valence: 0.4,
            updated_at_ms: 0,
        };
        assert_eq!(decayed(&chosen, HALF_LIFE_MS / 2).mood, "curious");
        assert_ne!(decayed(&chosen, HALF_LIFE_MS * 2).mood, "curious");
    }

    proptest! {
        #[test]
        fn levels_stay_in_range(valence in -1.0..1.0f64, activation in 0.0..1.0f64, at: u64, now: u64, which in 0..3) {
            let outcome = [Outcome::Success, Outcome::Failure, Outcome::Refusal][which as usize];
            let start = EmotionRecord { mood: "x".into(), activation_level: activation, valence, updated_at_ms: at };
            let end = moved(&start, outcome, now);
            prop_assert!((-1.0..=1.0).contains(&end.valence));
            prop_assert!((0.0..=1.0).contains(&end.activation_level));
        }
    }
}
