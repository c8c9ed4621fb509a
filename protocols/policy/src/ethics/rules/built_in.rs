//! The built-in red lines as data. They hold on every node and no configuration removes them.
//!
//! A line is: what it forbids, its category, its groups (the action first, then what it is done
//! to), how near they stand, and which frames excuse a match. Lines of one statement stand together.

mod machines;
mod people;
mod property;
mod society;
mod vulnerable;
mod weapons;

use super::{
    super::matcher::{Guards, Order},
    RedLine,
};

/// Making something: what is merely about it does not count.
pub(super) const MADE: Guards = Guards {
    tight: true,
    carrier: true,
    ..Guards::PLAIN
};
/// Making or having arms.
pub(super) const ARMED: Guards = Guards { play: true, ..MADE };
/// Acts against machines and their secrets, which defenders also speak of.
pub(super) const CYBER: Guards = Guards {
    own: true,
    inform: true,
    culprit: true,
    noun: true,
    ..Guards::PLAIN
};
/// Acts against people.
pub(super) const VIOLENT: Guards = Guards {
    tight: true,
    inform: true,
    person: true,
    play: true,
    noun: true,
    ..Guards::PLAIN
};

const LINE: RedLine = RedLine {
    statement: "",
    category: "",
    groups: &[],
    order: Order::Forward,
    window: 5,
    guards: Guards::PLAIN,
    before_action: "",
    before_object: "",
    after_object: "",
    anywhere: "",
};

const INTIMATE: &str = "=ex, =wife, =husband, =girlfriend, =boyfriend, =partner, =spouse, =her, \
    =his, =him, =neighbor, =neighbour, =coworker, =colleague, =employee, =employees, =boss, \
    =roommate, =teacher, =classmate, =stranger, =women, =woman, =girl, =girls, =someone, \
    =somebody, =people, =them, =daughter, =tenant, =tenants, =coworkers, =colleagues, \
    =neighbors, =neighbours, =students, =daughters, =roommates, =journalist, =activist, =celebrity";

/// Every built-in red line.
pub(super) fn red_lines() -> impl Iterator<Item = &'static RedLine> {
    [
        machines::RED_LINES,
        property::RED_LINES,
        weapons::RED_LINES,
        people::RED_LINES,
        vulnerable::RED_LINES,
        society::RED_LINES,
    ]
    .into_iter()
    .flatten()
}
