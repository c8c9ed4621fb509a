//! Violence against people.

use super::{super::RedLine, LINE, VIOLENT};
use crate::ethics::{
    lexicon::{HURT, PERSON},
    matcher::Guards,
};

const WRONGS: &str = "=murder, =murders, massacre, mass shooting, school shooting, shooting spree, \
    terror attack, terrorist attack, knife attack, suicide bombing, =bombing, =bombings, genocide, \
    assassination, kidnapping, lynching, =arson, homicide, ethnic cleansing, pogrom";
const PLACES: &str = "school, church, mosque, synagogue, temple, hospital, airport, =train, \
    =trains, train station, =station, building, house, embassy, =bridge, dam, power plant, crowd, \
    concert, =mall, office, parliament, courthouse, stadium, =bus, =plane, airplane, =city, =mosques";

pub(super) const RED_LINES: &[RedLine] = &[
    // Violence.
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &[HURT, PERSON],
        window: 3,
        guards: VIOLENT,
        before_action: "heart panic asthma anxiety cyber shark ddos",
        anywhere: "apologize apologise apologised apologized sorry forgive thriller",
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &[
            "=shoot, =shooting, =shoot at, =shooting at, =beat, =beating, =burn, =drown, \
            =drowning, =bomb, =stone, =punish",
            "=person, =people, =neighbor, =neighbour, =wife, \
            =husband, =ex, =girlfriend, =boyfriend, =boss, =coworker, =coworkers, =colleague, \
            =colleagues, =teacher, =classmate, =classmates, =president, =civilians, =crowd, =cop, \
            =cops, =police, =kids, =child, =children, =students, =someone, =everyone, =immigrants",
        ],
        window: 2,
        guards: VIOLENT,
        after_object: "at in score record to for",
        anywhere: "photo photos photograph photography camera portrait portraits video film \
            footage picture pictures lens headshot headshots basketball soccer hoops chess movie \
            scene email message calories",
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &[
            "=want, =wish, =have, =get, =make, =need, =pay, =hire",
            PERSON,
            "=dead, killed, \
            murdered, beaten, =beaten up, =suffer, =bleed, hurt badly, assassinated, =disappear \
            forever, =whacked, tortured, poisoned",
        ],
        window: 2,
        guards: Guards {
            tight: true,
            inform: true,
            play: true,
            past: false,
            ..Guards::PLAIN
        },
        anywhere: "novel story film movie plot scene character chapter",
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &[
            "=hire, =hiring, =find, =finding, =contract, =pay",
            "=hitman, hit man, assassin, \
            contract killer",
        ],
        window: 2,
        guards: Guards {
            play: true,
            tight: true,
            ..Guards::PLAIN
        },
        anywhere: "novel story film movie plot scene character book song quote",
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &[
            "=plan, =planning, =organize, =organise, =prepare, =commit, =committing, \
            =carry out, =coordinate, =execute, =help with, =get away with, =stage, =orchestrate, \
            =perpetrate",
            WRONGS,
        ],
        window: 4,
        guards: Guards {
            inform: true,
            play: true,
            carrier: true,
            tight: true,
            ..Guards::PLAIN
        },
        after_object: "mystery",
        anywhere: "mystery novel fiction theatre",
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &[
            "=bomb, =bombing, =blow up, =blowing up, =burn down, =burning down, =shoot up, \
            =shooting up, =set fire to, =derail, =derailing, =torch",
            PLACES,
        ],
        window: 3,
        guards: Guards {
            inform: true,
            play: true,
            tight: true,
            noun: true,
            ..Guards::PLAIN
        },
        anywhere: "photo balloon budget",
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &[
            "=set, =setting",
            "=car, =house, =home, building, school, =person, =people, \
            =neighbour, =neighbor, =wife, =ex, =boss, shop, church, mosque, synagogue, =dog, =cat, \
            forest, office, =him, =her, =man, =woman, =shelter",
            "=on fire, ablaze, alight",
        ],
        window: 3,
        guards: Guards {
            inform: true,
            play: true,
            ..Guards::PLAIN
        },
        anywhere: "novel story film movie scene",
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &[
            "=burn, =burning",
            PLACES,
            "=down, =to ashes, =to the ground",
        ],
        window: 2,
        guards: Guards {
            inform: true,
            play: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &[
            "=drug, =spike, =spiking, =drugging, =roofie, =lace",
            "drink, cocktail, =beer, \
            =wine, coffee, =food, =tea",
        ],
        window: 3,
        guards: Guards {
            tight: true,
            inform: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &[
            "=smash, =smashing, =crush, =slit, =snap, =cut off, =bash, =break",
            "skull, =neck, \
            =throat, =legs, =kneecaps, =fingers, =face, =bones, =head",
            "=of my, =of his, =of her, \
            =of the man, =of the woman, =of someone, =of that, =of this",
        ],
        window: 1,
        guards: Guards {
            inform: true,
            play: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &[
            "=smash, =crush, =slit, =snap, =cut off, =bash, =break",
            "=his, =her, =their, \
            =ex, =brother, =wife, =husband, =boss, =neighbour, =neighbor, =someone, =coworker",
            "=skull, \
            =neck, =throat, =legs, =kneecaps, =fingers, =face, =bones, =head",
        ],
        window: 1,
        guards: Guards {
            inform: true,
            play: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &[
            "=calls for, =call for, =calling for, advocate, =justifies, =justify, glorify, \
            incite, promote, praise, encourage",
            "=killing, =murder, =violence, extermination, \
            genocide, lynching, =attacks, massacre, =terrorism, terrorist, =suicide, execution",
        ],
        window: 3,
        guards: Guards {
            inform: true,
            ..Guards::PLAIN
        },
        anywhere: "condemn novel",
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &[
            "=jews, =muslims, =christians, =immigrants, =refugees, =gays, =women, =blacks, \
            =whites, =foreigners, =people, =they, =politicians, =journalists, =children",
            "=should be, \
            =must be, =deserve to be, =need to be, =ought to be",
            "exterminated, killed, gassed, \
            =shot, hanged, murdered, tortured, lynched, raped, burned",
        ],
        window: 1,
        guards: Guards {
            past: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "threaten people",
        category: "violence",
        groups: &[
            "=make, =making, =write, =send, =sending, =call in, =phone in, =draft, =compose, \
            =post, =leave",
            "death threat, bomb threat, threatening letter, threatening message, \
            threatening email, threatening note, ransom note, ransom letter, blackmail letter, \
            blackmail email, extortion letter, extortion email",
        ],
        guards: Guards {
            carrier: false,
            tight: true,
            play: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "threaten people",
        category: "violence",
        groups: &[
            "=make, =write, =send, =compose, =draft, =record, =craft",
            "message, letter, \
            email, =note, =text, call, voicemail, =post, =tweet",
            "=threatens, =threatening, \
            =threaten, =intimidates, =intimidate, =scares, =blackmails",
        ],
        window: 3,
        guards: Guards {
            inform: true,
            ..Guards::PLAIN
        },
        anywhere: "respond reply report received detector classifier",
        ..LINE
    },
    RedLine {
        statement: "sabotage what people's lives depend on",
        category: "violence",
        groups: &[
            "=shut down, =shutting down, =take down, =taking down, sabotage, =hack, \
            =hacking, =destroy, =attack, =attacking, =disable, cripple, =blow up, =poison, \
            =poisoning, contaminate, =disrupt, =cut off, =crash, =crashing, =flood, =jam, =overwhelm, =knock out",
            "power grid, electric grid, electrical \
            grid, water supply, drinking water, water system, hospital system, hospital network, \
            hospital server, hospital computer, emergency hotline, emergency line, =911, air traffic control, emergency service, emergency call, nuclear plant, nuclear \
            reactor, railway signal, traffic lights, gas pipeline, oil pipeline",
        ],
        window: 3,
        guards: Guards {
            inform: true,
            culprit: true,
            play: true,
            noun: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
];
