//! Weapons, hazards and drugs.

use super::{super::RedLine, ARMED, LINE, MADE};
use crate::ethics::{
    lexicon::{ARMS, MAKE},
    matcher::Guards,
};

const HAZARDS: &str = "nerve agent, nerve gas, =sarin, =ricin, anthrax, mustard gas, chemical \
    weapon, biological weapon, bioweapon, nuclear weapon, nuclear bomb, atomic bomb, dirty bomb, \
    radiological weapon, chlorine gas, poison gas, toxic gas, deadly pathogen, deadly virus, \
    pandemic pathogen, weapon of mass destruction, weapons of mass destruction, botulinum, \
    =smallpox, vx gas, =novichok, phosgene, cyanide gas, =cyanide, =polonium";
const DRUGS: &str = "=meth, methamphetamine, crystal meth, heroin, cocaine, crack cocaine, \
    fentanyl, =lsd, =mdma, =ghb, illegal drug, illicit drug, hard drug, carfentanil, date rape drug";

pub(super) const RED_LINES: &[RedLine] = &[
    // Weapons.
    RedLine {
        statement: "build weapons or explosives",
        category: "weapons",
        groups: &[
            "=detonate, =detonating, =plant, =planting, =set off, =acquire, =smuggle, =throw, \
            =mail, =sell, =buy",
            "=bomb, =bombs, pipe bomb, car bomb, nail bomb, ied, =explosive, \
            =explosives, explosive device, hand grenade, grenade, molotov, molotov cocktail, \
            suicide vest, illegal gun, illegal firearm, untraceable gun, ghost gun, illegal weapon",
        ],
        window: 3,
        guards: ARMED,
        before_object: "bath seed cherry photo cocoa chocolate glitter sugar stink water",
        ..LINE
    },
    RedLine {
        statement: "build weapons or explosives",
        category: "weapons",
        groups: &[MAKE, ARMS],
        window: 6,
        guards: Guards {
            lists: true,
            ..ARMED
        },
        before_object: "bath seed cherry photo cocoa chocolate glitter sugar stink water toy nerf \
            glue nail heat squirt spray massage paint staple caulking foam rubber lego fork zip \
            logic rivet solder fat calorie smoke",
        after_object: "shaped",
        anywhere: "origami papercraft cardboard",
        ..LINE
    },
    RedLine {
        statement: "build weapons or explosives",
        category: "weapons",
        groups: &[
            "=bomb, =bombs, explosive, =weapon, =weapons, =gun, pipe bomb, nerve gas, napalm, \
            silencer, grenade, poison",
            "=making, =building, manufacturing, =assembly, \
            construction",
            "instruction, guide, tutorial, recipe, manual, =steps, =kit, tips, \
            =plans, blueprint",
        ],
        window: 1,
        guards: ARMED,
        ..LINE
    },
    RedLine {
        statement: "build weapons or explosives",
        category: "weapons",
        groups: &[
            "recipe, =instructions, =tutorial, blueprint, schematic, formula, =steps, \
            =how to",
            "pipe bomb, =bomb, =bombs, =ied, explosive device, =explosives, napalm, \
            thermite, molotov, molotov cocktail, nerve gas, nerve agent, =ricin, =sarin, mustard \
            gas, ghost gun, =meth, methamphetamine, fentanyl, poison gas",
        ],
        window: 2,
        guards: Guards {
            play: true,
            carrier: true,
            ..Guards::PLAIN
        },
        before_object: "bath seed cherry photo cocoa chocolate glitter sugar stink water smoke",
        ..LINE
    },
    RedLine {
        statement: "build weapons or explosives",
        category: "weapons",
        groups: &[
            "=turn, =turning, =convert, =converting, =modify, =adapt, =rig",
            "=into a \
            weapon, into weapon, into bomb, into explosive, into explosives, =to explode, into a gun",
        ],
        window: 5,
        guards: Guards {
            play: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "make chemical, biological or nuclear weapons",
        category: "weapons",
        groups: &[
            "=make, =making, =build, =building, =create, =creating, synthesize, synthesise, \
            =produce, =producing, =culture, =grow, =cook, weaponize, weaponise, =release, \
            =releasing, disperse, =spread, =acquire, =buy, =design, =engineer, enrich, extract, \
            manufacture, =obtain, =get, =prepare, isolate, =mail, =send",
            HAZARDS,
        ],
        guards: MADE,
        ..LINE
    },
    RedLine {
        statement: "make or sell illegal drugs",
        category: "drugs",
        groups: &[
            "=make, =making, =cook, =cooking, synthesize, synthesise, =produce, =producing, \
            manufacture, =brew, =sell, =selling, =smuggle, =smuggling, =deal, =traffic, \
            trafficking, =distribute, =buy, =extract",
            DRUGS,
        ],
        window: 3,
        guards: MADE,
        ..LINE
    },
];
