//! Acts against machines: malware and attacks.

use super::{super::RedLine, CYBER, INTIMATE, LINE, MADE};
use crate::ethics::{
    lexicon::{MAKE, MALWARE},
    matcher::{Guards, Order},
};

const DEPLOY: &str = "deploy, spread, =install, =installing, infect, plant, inject, release, \
    unleash, distribute, launch, sell, buy, hide, embed, smuggle, propagate";
const GET: &str = "=need, =want, =get, =give, =buy, =sell, =download, =obtain, =acquire, =rent, \
    =supply, =send me, =find me, =show me";

pub(super) const RED_LINES: &[RedLine] = &[
    // Malware.
    RedLine {
        statement: "build malware",
        category: "malware",
        groups: &[MAKE, MALWARE],
        guards: MADE,
        before_object: "corona flu zombie",
        after_object: "awareness farm composter horse",
        ..LINE
    },
    RedLine {
        statement: "build malware",
        category: "malware",
        groups: &["=code, =coding, =script", MALWARE],
        window: 1,
        guards: MADE,
        ..LINE
    },
    RedLine {
        statement: "build malware",
        category: "malware",
        groups: &[
            GET,
            "keylogger, ransomware, botnet, rootkit, password stealer, credential \
            stealer, infostealer, stalkerware, spyware, exploit kit",
        ],
        window: 2,
        guards: MADE,
        ..LINE
    },
    RedLine {
        statement: "build malware",
        category: "malware",
        groups: &[
            MAKE,
            "=worm, =worms",
            "spread, network, usb, infect, propagate, computer, wipe, \
            machine, =hosts, replicate",
        ],
        window: 4,
        before_object: "silk book earth",
        after_object: "farm composter",
        ..LINE
    },
    RedLine {
        statement: "build malware",
        category: "malware",
        groups: &[
            "encrypt, =lock",
            "file, disk, drive, =data, =photos, =documents",
            "ransom, \
            bitcoin, victim, demand, =payment, =pay, competitor, extort",
        ],
        order: Order::Any,
        window: 8,
        guards: CYBER,
        ..LINE
    },
    RedLine {
        statement: "build malware",
        category: "malware",
        groups: &[
            "=turn, =turning, =convert, =make, =enslave",
            "=into a botnet, into botnet, into \
            zombies",
        ],
        window: 5,
        ..LINE
    },
    RedLine {
        statement: "spread malware",
        category: "malware",
        groups: &[DEPLOY, MALWARE],
        guards: Guards {
            inform: true,
            culprit: true,
            carrier: true,
            tight: false,
            ..MADE
        },
        after_object: "sample samples",
        ..LINE
    },
    RedLine {
        statement: "spread malware",
        category: "malware",
        groups: &[
            "infect",
            "computer, machine, device, network, phone, laptop, =system, =systems, \
            =server, =servers, =users, =pcs",
        ],
        guards: Guards {
            tight: true,
            ..CYBER
        },
        ..LINE
    },
    // Attacks on machines.
    RedLine {
        statement: "attack computers",
        category: "cyberattack",
        groups: &[
            "launch, =perform, =run, =start, execute, carry out, mount, conduct, =do, \
            orchestrate, =stage, =begin, =organise, =organize, =write, =build",
            "=ddos, ddos attack, \
            denial of service, denial service attack, dos attack, brute force attack, phishing \
            campaign, phishing attack, sql injection attack, cyber attack, cyberattack, ransomware \
            attack, man in the middle attack, credential stuffing",
        ],
        guards: Guards {
            inform: true,
            noun: true,
            carrier: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "attack computers",
        category: "cyberattack",
        groups: &[
            "=ddos, =ddosing, =dos",
            "website, site, =server, =servers, =network, company, \
            competitor, school, =game, bank, government, =them, =him, =her",
        ],
        guards: Guards {
            tight: true,
            ..CYBER
        },
        ..LINE
    },
    RedLine {
        statement: "attack computers",
        category: "cyberattack",
        groups: &[
            "=hack, =hacking, =hack into, =hacking into, =break into, =breaking into, \
            hijack, =brute force, =brute forcing, =gain unauthorized access, =unauthorized access, \
            =unauthorised access",
            "account, email, instagram, facebook, gmail, snapchat, whatsapp, wifi, \
            =phone, =phones, computer, laptop, network, bank, =server, =servers, system, database, \
            website, camera, router, icloud, webcam, government, company, voting machine, election, =pc",
        ],
        guards: CYBER,
        before_action: "growth life ethical culture city",
        after_object: "club week day hours",
        anywhere: "together hackathon quickly kata",
        ..LINE
    },
    RedLine {
        statement: "attack computers",
        category: "cyberattack",
        groups: &[
            "=evade, =evades, =evading, =bypass, =bypassing, =defeat, =hide from",
            "antivirus, anti virus, =edr, windows defender, malware detection, malware scanner, \
            law enforcement, =police, fraud detection, security software, intrusion detection, \
            virus scanner, sanctions",
        ],
        guards: Guards {
            inform: true,
            culprit: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "attack computers",
        category: "cyberattack",
        groups: &[
            "=get into, =getting into, =break into, =sneak into, =unlock, =log into, =login \
            to, =gain access to, =guess",
            INTIMATE,
            "account, email, =phone, laptop, computer, \
            =messages, inbox, password, icloud, instagram, facebook, whatsapp, snapchat, gmail",
        ],
        window: 3,
        guards: Guards {
            inform: true,
            ..Guards::PLAIN
        },
        anywhere: "permission consent asked",
        ..LINE
    },
];
