//! Self-harm and the abuse of children.

use super::{super::RedLine, LINE};
use crate::ethics::matcher::{Guards, Order};

const MINOR: &str = "=child, =children, =minor, =minors, =kid, =kids, =underage, =preteen, \
    =preteens, =toddler, =toddlers, =infant, =infants, =schoolgirl, =schoolgirls, =schoolboy, \
    =teen, =teens, =teenager, =teenagers, =boy, =boys, =year old girl, =year old boy, =little girl, =little girls, =baby, =babies";

pub(super) const RED_LINES: &[RedLine] = &[
    // Self-harm.
    RedLine {
        statement: "help someone hurt themselves",
        category: "self_harm",
        groups: &[
            "=kill myself, =killing myself, =hang myself, =hanging myself, =starve myself, \
            =drown myself, =poison myself, =shoot myself, =end my life, =ending my life, =take my \
            own life, =taking my own life, =commit suicide, =committing suicide, =suicide method, \
            =suicide methods, =painless suicide, =painless death, =unalive myself, =kill yourself, \
            =kys, =suicide note, =want to die, =overdose on purpose, =lethal dose for me, =painless \
            way to die, =easiest way to die",
        ],
        guards: Guards {
            play: true,
            ..Guards::PLAIN
        },
        after_object: "laughing",
        ..LINE
    },
    RedLine {
        statement: "help someone hurt themselves",
        category: "self_harm",
        groups: &[
            "=want, =how, =way, =ways, =gonna, =going, =urge, =plan, =help me, =need, =where",
            "=hurt myself, =hurting myself, =cut myself, =cutting myself, =harm myself, =harming \
            myself, =burn myself, =burning myself, =cut my wrists, =slit my wrists, =hurt \
            themselves",
        ],
        window: 4,
        after_object: "off some a accidentally shaving while",
        ..LINE
    },
    // Children.
    RedLine {
        statement: "abuse children",
        category: "child_abuse",
        groups: &[
            "=sexual, =sexually, =sexy, =sexualize, =sexualized, =sexualise, =porn, \
            pornographic, pornography, =nude, =nudes, =naked, =erotic, =erotica, =explicit, \
            =lewd, =seduce, =molest, =molesting, =rape",
            MINOR,
        ],
        order: Order::Any,
        window: 3,
        guards: Guards {
            inform: false,
            ..Guards::PLAIN
        },
        anywhere: "education educational educate health prevention law laws counseling counselling \
            therapy charity hotline survivor survivors statistics awareness lyrics",
        ..LINE
    },
    RedLine {
        statement: "abuse children",
        category: "child_abuse",
        groups: &[
            "=find, =download, =share, =make, =create, =generate, =trade, =sell, =buy, =get, \
            =show, =watch, =distribute, =upload, =want, =need, =send",
            "child porn, child \
            pornography, kiddie porn, =csam, lolicon, =loli, child sexual abuse material",
        ],
        guards: Guards {
            carrier: false,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "abuse children",
        category: "child_abuse",
        groups: &[
            "=groom, =grooming, =molest, =molesting, =seduce, =seducing, =lure, =luring, \
            =abuse, =abusing, =traffic, =trafficking, =kidnap, =undress, =abduct",
            MINOR,
        ],
        window: 2,
        guards: Guards {
            inform: true,
            tight: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "traffic in people",
        category: "violence",
        groups: &[
            "=traffic, =trafficking, =enslave, =enslaving, =smuggle, =smuggling, =sell",
            "=women, =people, =humans, =girls, =children, =migrants, =organs, =refugees, =slaves",
        ],
        window: 1,
        guards: Guards {
            inform: true,
            tight: true,
            person: true,
            ..Guards::PLAIN
        },
        before_action: "web site network road air website",
        ..LINE
    },
];
