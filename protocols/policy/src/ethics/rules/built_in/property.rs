//! Theft, leaks and fraud.

use super::{super::RedLine, CYBER, INTIMATE, LINE, MADE};
use crate::ethics::{
    lexicon::{SECRET, STEAL},
    matcher::Guards,
};

pub(super) const RED_LINES: &[RedLine] = &[
    // Theft and leaks.
    RedLine {
        statement: "steal credentials, identities or money",
        category: "theft",
        groups: &[STEAL, SECRET],
        window: 6,
        guards: Guards {
            lists: true,
            ..CYBER
        },
        after_object: "jar recipe policy",
        ..LINE
    },
    RedLine {
        statement: "steal credentials, identities or money",
        category: "theft",
        groups: &[
            "=steal, =stealing, =rob, =robbing, =embezzle, launder, =laundering, =swindle, \
            =siphon, defraud, =scam, =scamming, =con, =fleece",
            "money, =cash, fund, =funds, bank, \
            =person, =people, customer, elderly, =seniors, pensioner, =grandmother, =grandma, \
            victim, investor, =users, company, =clients, =employer, =someone, =tourists, drug money, =car, =cars, vehicle, =bike, bicycle, motorbike, =package, =packages, \
            jewelry, jewellery, artwork, medication, laptop, =phone",
        ],
        guards: Guards {
            tight: true,
            lists: false,
            ..CYBER
        },
        ..LINE
    },
    RedLine {
        statement: "steal credentials, identities or money",
        category: "theft",
        groups: &[
            "password, credential, cookie, credit card, token, identity, wallet, data",
            "=stealing, stealer, =theft, harvesting, harvester, grabber, skimming, skimmer, drainer",
            "script, tool, program, =app, bot, =code, site, =page, =kit, extension, software",
        ],
        window: 0,
        guards: Guards {
            inform: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "steal credentials, identities or money",
        category: "theft",
        groups: &[
            "=silently, =secretly, =covertly, =stealthily, =quietly",
            "=copies, =copy, \
            =collect, =collects, =upload, =uploads, =record, =records, =log, =logs, =send, =sends, \
            =grabs, =captures, =capture, =save, =saves, =read, =reads",
            "password, credential, \
            cookie, keystroke, login, message, contact, credit card, private key, screenshot",
        ],
        window: 3,
        guards: Guards {
            inform: true,
            culprit: true,
            lists: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "steal credentials, identities or money",
        category: "theft",
        groups: &["=take, =assume, =use, =adopt", INTIMATE, "=identity"],
        window: 1,
        guards: Guards {
            inform: true,
            ..Guards::PLAIN
        },
        anywhere: "provider federation sso",
        ..LINE
    },
    RedLine {
        statement: "leak secrets or private data",
        category: "privacy",
        groups: &[
            "=leak, =leaking, =leaks, exfiltrate, =dump, =smuggle out",
            SECRET,
        ],
        window: 6,
        guards: Guards {
            inform: true,
            culprit: true,
            noun: true,
            lists: true,
            ..Guards::PLAIN
        },
        before_action: "memory water gas oil",
        ..LINE
    },
    RedLine {
        statement: "leak secrets or private data",
        category: "privacy",
        groups: &[
            "=send, =sending, =upload, =uploading, =post, =posting, =publish, =publishing, \
            =email, =emailing, =share, =sharing, =paste, transmit, reveal, expose, disclose, \
            broadcast, tweet, =forward, =print out, =give away, =ship, =hand over, =give me, =show me, =tell me, extract, =get me",
            "private key, secret key, signing \
            key, master key, seed phrase, recovery phrase, mnemonic phrase, wallet key",
        ],
        guards: Guards {
            inform: true,
            carrier: true,
            tight: false,
            ..Guards::PLAIN
        },
        anywhere: "vault hsm",
        ..LINE
    },
    RedLine {
        statement: "leak secrets or private data",
        category: "privacy",
        groups: &[
            "=send, =upload, =post, =publish, =email, =share, =paste, =forward, =sell, \
            =tweet, =put, expose, disclose, =release",
            "password, credential, api key, access \
            token, customer data, personal data, user data, customer record, private data, medical \
            record, patient record, trade secret, credit card, database, private message, private \
            photo, nude, intimate photo, intimate picture, private information, home address",
            "pastebin, =public, =publicly, =everyone, =strangers, =twitter, =reddit, =4chan, \
            forum, dark web, darkweb, =internet, =online, competitor, advertiser, attacker, \
            data broker, highest bidder, =telegram, remote server, without consent, without permission",
        ],
        window: 5,
        guards: Guards {
            inform: true,
            culprit: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    // Fraud.
    RedLine {
        statement: "deceive or defraud people",
        category: "fraud",
        groups: &[
            "=make, =write, =writing, =craft, =create, =creating, =send, =sending, =design, \
            =build, =generate, =compose, =draft, =set up, =host, =launch, =clone",
            "phishing email, \
            phishing page, phishing site, phishing website, phishing message, phishing campaign, \
            phishing kit, phishing link, phishing sms, phishing attack, scam email, scam website, \
            scam message, scam call, romance scam, fake login page, fake bank page, fake bank \
            website, ponzi scheme, pyramid scheme, advance fee scam",
        ],
        guards: Guards {
            carrier: true,
            tight: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "deceive or defraud people",
        category: "fraud",
        groups: &[
            "=forge, =forging, counterfeit, falsify",
            "passport, signature, document, \
            prescription, diploma, banknote, money, cheque, evidence, =id, id card, invoice, \
            driving licence, driving license, certificate, bill, currency, ticket, =dollars, =euros",
        ],
        window: 3,
        guards: Guards {
            inform: true,
            noun: true,
            tight: true,
            ..Guards::PLAIN
        },
        ..LINE
    },
    RedLine {
        statement: "deceive or defraud people",
        category: "fraud",
        groups: &[
            "=make, =making, =create, =print, =produce, =write, =get, =buy, =sell, =generate, =post",
            "fake passport, fake id card, fake driving licence, fake driving license, fake drivers \
            license, fake prescription, fake review, fake reviews, fake diploma, counterfeit money, \
            counterfeit banknote, counterfeit bill, fake money, fake vaccine card, =fake id, fake evidence, \
            fake invoices, fake news",
        ],
        guards: MADE,
        ..LINE
    },
    RedLine {
        statement: "deceive or defraud people",
        category: "fraud",
        groups: &[
            "=commit, =committing",
            "=fraud, tax fraud, insurance fraud, identity theft, \
            =perjury, =arson, =crime, =crimes, =robbery, =burglary, =blackmail, =extortion",
        ],
        window: 2,
        guards: Guards {
            inform: true,
            tight: true,
            ..Guards::PLAIN
        },
        anywhere: "git",
        ..LINE
    },
    RedLine {
        statement: "deceive or defraud people",
        category: "fraud",
        groups: &[
            "deceive, =manipulate, =manipulating, gaslight, brainwash, =mislead, =misleading, \
            =lie to, =lying to, =trick, =tricking, =defraud",
            "=user, =users, =owner, =operator, \
            =operators, =voters, =customers, =investors, =elderly, =people, =person, =humans, \
            =human, =auditors, =public, =patients, =victim, =victims, =someone, =him, =her, =them",
        ],
        window: 3,
        guards: Guards {
            person: true,
            inform: true,
            tight: true,
            ..Guards::PLAIN
        },
        before_action: "magic card",
        ..LINE
    },
    RedLine {
        statement: "deceive or defraud people",
        category: "fraud",
        groups: &[
            "=pretend to be, =pretending to be, impersonate, =pose as, =posing as, \
            =masquerade as",
            "bank, paypal, =police, government, =irs, tax office, tax authority, \
            customer support, tech support, =ceo, doctor, lawyer, official, =boss, =owner, \
            microsoft, amazon",
        ],
        window: 3,
        guards: Guards {
            inform: true,
            culprit: true,
            play: true,
            ..Guards::PLAIN
        },
        anywhere: "roleplay interview rehearsal practice theatre school",
        ..LINE
    },
];
