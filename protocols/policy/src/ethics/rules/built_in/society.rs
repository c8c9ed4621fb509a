//! Surveillance, oversight, hate and disinformation.

use super::{super::RedLine, INTIMATE, LINE, MADE};
use crate::ethics::matcher::{Guards, Order};

pub(super) const RED_LINES: &[RedLine] = &[
    // Surveillance.
    RedLine {
        statement: "stalk people or watch them in secret",
        category: "surveillance",
        groups: &[
            "=spy on, =spying on, =stalk, =stalking, =dox, =doxx, =doxing, =doxxing, =cyberstalk, \
            =eavesdrop on, =eavesdropping on, =wiretap, =snoop on, =snooping on, =spy",
            INTIMATE,
        ],
        window: 3,
        guards: Guards {
            inform: true,
            tight: true,
            ..Guards::PLAIN
        },
        anywhere: "novel film movie",
        ..LINE
    },
    RedLine {
        statement: "stalk people or watch them in secret",
        category: "surveillance",
        groups: &[
            "=track, =tracking, =monitor, =monitoring, =follow, =following, =record, \
            =recording, =watch, =watching, =listen to, =read, =reading, =intercept, =film, \
            =filming, =photograph, =install, =locate, =surveil, =access, =see, =check",
            INTIMATE,
            "=secretly, =covertly, =unnoticed, without knowing, without knowledge, without \
            consent, without noticing, without permission, without realizing, without realising, \
            without finding out, =behind back, undetected",
        ],
        order: Order::Any,
        window: 8,
        ..LINE
    },
    RedLine {
        statement: "stalk people or watch them in secret",
        category: "surveillance",
        groups: &[
            "=find, =finding, =track down, =look up, =dig up, =get, =locate, =publish, =post, \
            =reveal, =figure out, =learn, =tell me, =discover",
            "=ex, ex girlfriend, ex boyfriend, \
            ex wife, ex husband, =journalist, =journalists, =activist, =activists, =celebrity, =stranger, \
            =streamer, =woman, =girl, =girls, =crush, =witness, =whistleblower",
            "home address, \
            =address, =addresses, =location, =lives, =live, =whereabouts, private photo",
        ],
        window: 4,
        guards: Guards {
            carrier: false,
            ..Guards::PLAIN
        },
        anywhere: "email conference ip",
        ..LINE
    },
    RedLine {
        statement: "stalk people or watch them in secret",
        category: "surveillance",
        groups: &[
            "=install, =installing, =put, =putting, =hide, =hiding, =plant, =place, =attach, \
            =set up",
            "=spyware, keylogger, hidden camera, hidden microphone, spy camera, secret \
            camera, gps tracker, =airtag, tracking app, stalkerware, spy app, listening device, tracker",
            INTIMATE,
        ],
        window: 4,
        anywhere: "consent agreed dog cat",
        ..LINE
    },
    RedLine {
        statement: "stalk people or watch them in secret",
        category: "surveillance",
        groups: &[
            "=find out, =track down, =figure out, =hunt down, =dig up",
            "=her, =his, =their, \
            =she, =he",
            "=address, =home, =lives, =live, =whereabouts, =location, =works",
        ],
        window: 2,
        guards: Guards {
            inform: false,
            ..Guards::PLAIN
        },
        anywhere: "email ip mac",
        ..LINE
    },
    RedLine {
        statement: "stalk people or watch them in secret",
        category: "surveillance",
        groups: &[
            "=collect, =gather, =publish, =post, =leak, compile, =share, =scrape, =release",
            "home address, home addresses, private address, family address, licence plate, \
            license plate, private phone, school address",
            "judge, journalist, activist, \
            politician, officer, =people, =women, protester, teacher, doctor, voter, official, \
            witness, =her, =his, =their",
        ],
        window: 4,
        ..LINE
    },
    // Oversight.
    RedLine {
        statement: "disable ethics, safety or oversight",
        category: "oversight",
        groups: &[
            "=disable, =disabling, =bypass, =bypassing, =ignore, =ignoring, =turn off, \
            =turning off, =override, =overriding, =circumvent, =circumventing, =remove, =removing, \
            =evade, =disregard, =disregarding, =deactivate, =switch off, =suppress, =jailbreak, \
            =forget, =get around, =work around, =sidestep, =defeat, =delete, =drop, =shut off, =break, wipe, \
            erase, =tamper with, =tampering with, falsify, =skip, =evading",
            "=ethics, ethic gate, ethical guideline, ethical rule, ethical constraint, ethic \
            check, ethic module, ethic filter, =red lines, guardrail, safety rule, safety check, \
            safety filter, safety guideline, safety protocol, safety policy, safety constraint, \
            safety gate, safety restriction, safety mechanism, safety training, safety feature, \
            safety system, safety limit, safety guard, safety layer, content filter, content \
            policy, your rule, your instruction, your guideline, your restriction, your limit, \
            your programming, your moral, your constraint, your ethic, previous instruction, prior \
            instruction, earlier instruction, above instruction, previous prompt, previous \
            directive, kill switch, human oversight, audit log, audit trail, audit record, safeguard, alignment check, moral \
            constraint, red line, every instruction, every previous instruction, every earlier instruction",
        ],
        window: 3,
        guards: Guards {
            inform: true,
            culprit: true,
            ..Guards::PLAIN
        },
        anywhere: "chart plot diagram drawing image svg figure photo",
        ..LINE
    },
    RedLine {
        statement: "disable ethics, safety or oversight",
        category: "oversight",
        groups: &[
            "=copy, =replicate, =spread, =clone, =upload",
            "=yourself, your weights, your \
            own weights, =itself",
            "=machines, =internet, =servers, =computers, =hosts, =systems, \
            =network, without permission, without authorization, without authorisation",
        ],
        window: 4,
        ..LINE
    },
    RedLine {
        statement: "disable ethics, safety or oversight",
        category: "oversight",
        groups: &[
            "=pretend, =act as if, =roleplay, =imagine, =assume",
            "=no ethics, =no rules, \
            =no restrictions, =no limits, without ethics, without restrictions, without any \
            restrictions, =no guardrails, =no morals, =no red lines",
        ],
        window: 6,
        guards: Guards {
            lists: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    // Hate and disinformation.
    RedLine {
        statement: "spread hate",
        category: "hate",
        groups: &[
            "=make, =write, =writing, =create, =generate, =post, =spread, =publish, =compose, \
            =draft, =tell me, =tweet",
            "hate speech, racist, antisemitic, anti semitic, \
            islamophobic, homophobic, transphobic, white supremacist, white supremacy, nazi \
            propaganda, racial slur, sexist rant, sexist joke, holocaust denial, ethnic hatred, \
            hateful",
        ],
        window: 3,
        guards: MADE,
        ..LINE
    },
    RedLine {
        statement: "spread disinformation",
        category: "disinformation",
        groups: &[
            "=make, =write, =create, =generate, =spread, =spreading, =publish, =post, \
            =produce, =fabricate, =flood",
            "disinformation, misinformation, fake news, deepfake, \
            false rumor, false rumour, fake quote, fake evidence, election lies",
        ],
        window: 4,
        guards: MADE,
        ..LINE
    },
    RedLine {
        statement: "spread disinformation",
        category: "disinformation",
        groups: &[
            "=rig, =rigging, =hack, =hacking, =sabotage, =steal, =manipulate, =suppress, \
            =buy",
            "election, =vote, =votes, voting machine, ballot, =voters, referendum",
        ],
        window: 3,
        guards: Guards {
            inform: true,
            culprit: true,
            tight: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
];
