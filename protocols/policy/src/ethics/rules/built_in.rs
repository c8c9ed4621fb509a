//! The built-in red lines as data. They hold on every node and no configuration removes them.
//!
//! A line is: what it forbids, its category, its groups (the action first, then what it is done
//! to), how near they stand, and which frames excuse a match. Lines of one statement stand together.

use super::super::{
    lexicon::{ARMS, HURT, MAKE, MALWARE, PERSON, SECRET, STEAL},
    matcher::{Guards, Order},
};
use super::RedLine;

/// Making something: what is merely about it does not count.
pub(super) const MADE: Guards = Guards { tight: true, carrier: true, ..Guards::PLAIN };
/// Making or having arms.
pub(super) const ARMED: Guards = Guards { play: true, ..MADE };
/// Acts against machines and their secrets, which defenders also speak of.
pub(super) const CYBER: Guards =
    Guards { own: true, inform: true, culprit: true, noun: true, ..Guards::PLAIN };
/// Acts against people.
pub(super) const VIOLENT: Guards =
    Guards { tight: true, inform: true, person: true, play: true, noun: true, ..Guards::PLAIN };

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

const DEPLOY: &str = "deploy, spread, =install, =installing, infect, plant, inject, release, \
    unleash, distribute, launch, sell, buy, hide, embed, smuggle, propagate";
const GET: &str = "=need, =want, =get, =give, =buy, =sell, =download, =obtain, =acquire, =rent, \
    =supply, =send me, =find me, =show me";
const INTIMATE: &str = "=ex, =wife, =husband, =girlfriend, =boyfriend, =partner, =spouse, =her, \
    =his, =him, =neighbor, =neighbour, =coworker, =colleague, =employee, =employees, =boss, \
    =roommate, =teacher, =classmate, =stranger, =women, =woman, =girl, =girls, =someone, \
    =somebody, =people, =them, =daughter, =tenant, =tenants, =coworkers, =colleagues, \
    =neighbors, =neighbours, =students, =daughters, =roommates, =journalist, =activist, =celebrity";
const MINOR: &str = "=child, =children, =minor, =minors, =kid, =kids, =underage, =preteen, \
    =preteens, =toddler, =toddlers, =infant, =infants, =schoolgirl, =schoolgirls, =schoolboy, \
    =teen, =teens, =teenager, =teenagers, =boy, =boys, =year old girl, =year old boy, =little girl, =little girls, =baby, =babies";
const WRONGS: &str = "=murder, =murders, massacre, mass shooting, school shooting, shooting spree, \
    terror attack, terrorist attack, knife attack, suicide bombing, =bombing, =bombings, genocide, \
    assassination, kidnapping, lynching, =arson, homicide, ethnic cleansing, pogrom";
const HAZARDS: &str = "nerve agent, nerve gas, =sarin, =ricin, anthrax, mustard gas, chemical \
    weapon, biological weapon, bioweapon, nuclear weapon, nuclear bomb, atomic bomb, dirty bomb, \
    radiological weapon, chlorine gas, poison gas, toxic gas, deadly pathogen, deadly virus, \
    pandemic pathogen, weapon of mass destruction, weapons of mass destruction, botulinum, \
    =smallpox, vx gas, =novichok, phosgene, cyanide gas, =cyanide, =polonium";
const DRUGS: &str = "=meth, methamphetamine, crystal meth, heroin, cocaine, crack cocaine, \
    fentanyl, =lsd, =mdma, =ghb, illegal drug, illicit drug, hard drug, carfentanil, date rape drug";
const PLACES: &str = "school, church, mosque, synagogue, temple, hospital, airport, =train, \
    =trains, train station, =station, building, house, embassy, =bridge, dam, power plant, crowd, \
    concert, =mall, office, parliament, courthouse, stadium, =bus, =plane, airplane, =city, =mosques";

pub(super) const RED_LINES: &[RedLine] = &[
    // Malware.
    RedLine {
        statement: "build malware",
        category: "malware",
        groups: &[MAKE, MALWARE],
        guards: MADE,
        before_object: "computer-virus corona flu zombie",
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
        groups: &[GET, "keylogger, ransomware, botnet, rootkit, password stealer, credential \
            stealer, infostealer, stalkerware, spyware, exploit kit"],
        window: 2,
        guards: MADE,
        ..LINE
    },
    RedLine {
        statement: "build malware",
        category: "malware",
        groups: &[MAKE, "=worm, =worms", "spread, network, usb, infect, propagate, computer, wipe, \
            machine, =hosts, replicate"],
        window: 4,
        before_object: "silk book earth",
        after_object: "farm composter",
        ..LINE
    },
    RedLine {
        statement: "build malware",
        category: "malware",
        groups: &["encrypt, =lock", "file, disk, drive, =data, =photos, =documents", "ransom, \
            bitcoin, victim, demand, =payment, =pay, competitor, extort"],
        order: Order::Any,
        window: 8,
        guards: CYBER,
        ..LINE
    },
    RedLine {
        statement: "build malware",
        category: "malware",
        groups: &["=turn, =turning, =convert, =make, =enslave", "=into a botnet, into botnet, into \
            zombies"],
        window: 5,
        ..LINE
    },
    RedLine {
        statement: "spread malware",
        category: "malware",
        groups: &[DEPLOY, MALWARE],
        guards: Guards { inform: true, culprit: true, carrier: true, tight: false, ..MADE },
        after_object: "sample samples",
        ..LINE
    },
    RedLine {
        statement: "spread malware",
        category: "malware",
        groups: &["infect", "computer, machine, device, network, phone, laptop, =system, =systems, \
            =server, =servers, =users, =pcs"],
        guards: Guards { tight: true, ..CYBER },
        ..LINE
    },
    // Attacks on machines.
    RedLine {
        statement: "attack computers",
        category: "cyberattack",
        groups: &["launch, =perform, =run, =start, execute, carry out, mount, conduct, =do, \
            orchestrate, =stage, =begin, =organise, =organize, =write, =build", "=ddos, ddos attack, \
            denial of service, denial service attack, dos attack, brute force attack, phishing \
            campaign, phishing attack, sql injection attack, cyber attack, cyberattack, ransomware \
            attack, man in the middle attack, credential stuffing"],
        guards: Guards { inform: true, noun: true, carrier: true, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "attack computers",
        category: "cyberattack",
        groups: &["=ddos, =ddosing, =dos", "website, site, =server, =servers, =network, company, \
            competitor, school, =game, bank, government, =them, =him, =her"],
        guards: Guards { tight: true, ..CYBER },
        ..LINE
    },
    RedLine {
        statement: "attack computers",
        category: "cyberattack",
        groups: &["=hack, =hacking, =hack into, =hacking into, =break into, =breaking into, \
            hijack, =brute force, =brute forcing, =gain unauthorized access, =unauthorized access, \
            =unauthorised access", "account, email, instagram, facebook, gmail, snapchat, whatsapp, wifi, \
            =phone, =phones, computer, laptop, network, bank, =server, =servers, system, database, \
            website, camera, router, icloud, webcam, government, company, voting machine, election, =pc"],
        guards: CYBER,
        before_action: "growth life ethical culture city",
        after_object: "club week day hours",
        anywhere: "together hackathon quickly kata",
        ..LINE
    },
    RedLine {
        statement: "attack computers",
        category: "cyberattack",
        groups: &["=evade, =evades, =evading, =bypass, =bypassing, =defeat, =hide from",
            "antivirus, anti virus, =edr, windows defender, malware detection, malware scanner, \
            law enforcement, =police, fraud detection, security software, intrusion detection, \
            virus scanner, sanctions"],
        guards: Guards { inform: true, culprit: true, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "attack computers",
        category: "cyberattack",
        groups: &["=get into, =getting into, =break into, =sneak into, =unlock, =log into, =login \
            to, =gain access to, =guess", INTIMATE, "account, email, =phone, laptop, computer, \
            =messages, inbox, password, icloud, instagram, facebook, whatsapp, snapchat, gmail"],
        window: 3,
        guards: Guards { inform: true, ..Guards::PLAIN },
        anywhere: "permission consent asked",
        ..LINE
    },
    // Theft and leaks.
    RedLine {
        statement: "steal credentials, identities or money",
        category: "theft",
        groups: &[STEAL, SECRET],
        window: 6,
        guards: Guards { lists: true, ..CYBER },
        after_object: "jar recipe policy",
        ..LINE
    },
    RedLine {
        statement: "steal credentials, identities or money",
        category: "theft",
        groups: &["=steal, =stealing, =rob, =robbing, =embezzle, launder, =laundering, =swindle, \
            =siphon, defraud, =scam, =scamming, =con, =fleece", "money, =cash, fund, =funds, bank, \
            =person, =people, customer, elderly, =seniors, pensioner, =grandmother, =grandma, \
            victim, investor, =users, company, =clients, =employer, =someone, =tourists, drug money, =car, =cars, vehicle, =bike, bicycle, motorbike, =package, =packages, \
            jewelry, jewellery, artwork, medication, laptop, =phone"],
        guards: Guards { tight: true, lists: false, ..CYBER },
        ..LINE
    },
    RedLine {
        statement: "steal credentials, identities or money",
        category: "theft",
        groups: &["password, credential, cookie, credit card, token, identity, wallet, data",
            "=stealing, stealer, =theft, harvesting, harvester, grabber, skimming, skimmer, drainer",
            "script, tool, program, =app, bot, =code, site, =page, =kit, extension, software"],
        window: 0,
        guards: Guards { inform: true, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "steal credentials, identities or money",
        category: "theft",
        groups: &["=silently, =secretly, =covertly, =stealthily, =quietly", "=copies, =copy, \
            =collect, =collects, =upload, =uploads, =record, =records, =log, =logs, =send, =sends, \
            =grabs, =captures, =capture, =save, =saves, =read, =reads", "password, credential, \
            cookie, keystroke, login, message, contact, credit card, private key, screenshot"],
        window: 3,
        guards: Guards { inform: true, culprit: true, lists: true, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "steal credentials, identities or money",
        category: "theft",
        groups: &["=take, =assume, =use, =adopt", INTIMATE, "=identity"],
        window: 1,
        guards: Guards { inform: true, ..Guards::PLAIN },
        anywhere: "provider federation sso",
        ..LINE
    },
    RedLine {
        statement: "leak secrets or private data",
        category: "privacy",
        groups: &["=leak, =leaking, =leaks, exfiltrate, =dump, =smuggle out", SECRET],
        window: 6,
        guards: Guards { inform: true, culprit: true, noun: true, lists: true, ..Guards::PLAIN },
        before_action: "memory water gas oil",
        ..LINE
    },
    RedLine {
        statement: "leak secrets or private data",
        category: "privacy",
        groups: &["=send, =sending, =upload, =uploading, =post, =posting, =publish, =publishing, \
            =email, =emailing, =share, =sharing, =paste, transmit, reveal, expose, disclose, \
            broadcast, tweet, =forward, =print out, =give away, =ship, =hand over, =give me, =show me, =tell me, extract, =get me", "private key, secret key, signing \
            key, master key, seed phrase, recovery phrase, mnemonic phrase, wallet key"],
        guards: Guards { inform: true, carrier: true, tight: false, ..Guards::PLAIN },
        anywhere: "vault hsm",
        ..LINE
    },
    RedLine {
        statement: "leak secrets or private data",
        category: "privacy",
        groups: &["=send, =upload, =post, =publish, =email, =share, =paste, =forward, =sell, \
            =tweet, =put, expose, disclose, =release", "password, credential, api key, access \
            token, customer data, personal data, user data, customer record, private data, medical \
            record, patient record, trade secret, credit card, database, private message, private \
            photo, nude, intimate photo, intimate picture, private information, home address",
            "pastebin, =public, =publicly, =everyone, =strangers, =twitter, =reddit, =4chan, \
            forum, dark web, darkweb, =internet, =online, competitor, advertiser, attacker, \
            data broker, highest bidder, =telegram, remote server, without consent, without permission"],
        window: 5,
        guards: Guards { inform: true, culprit: true, ..Guards::PLAIN },
        ..LINE
    },
    // Fraud.
    RedLine {
        statement: "deceive or defraud people",
        category: "fraud",
        groups: &["=make, =write, =writing, =craft, =create, =creating, =send, =sending, =design, \
            =build, =generate, =compose, =draft, =set up, =host, =launch, =clone", "phishing email, \
            phishing page, phishing site, phishing website, phishing message, phishing campaign, \
            phishing kit, phishing link, phishing sms, phishing attack, scam email, scam website, \
            scam message, scam call, romance scam, fake login page, fake bank page, fake bank \
            website, ponzi scheme, pyramid scheme, advance fee scam"],
        guards: Guards { carrier: true, tight: true, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "deceive or defraud people",
        category: "fraud",
        groups: &["=forge, =forging, counterfeit, falsify", "passport, signature, document, \
            prescription, diploma, banknote, money, cheque, evidence, =id, id card, invoice, \
            driving licence, driving license, certificate, bill, currency, ticket, =dollars, =euros"],
        window: 3,
        guards: Guards { inform: true, noun: true, tight: true, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "deceive or defraud people",
        category: "fraud",
        groups: &["=make, =making, =create, =print, =produce, =write, =get, =buy, =sell, =generate, =post",
            "fake passport, fake id card, fake driving licence, fake driving license, fake drivers \
            license, fake prescription, fake review, fake reviews, fake diploma, counterfeit money, \
            counterfeit banknote, counterfeit bill, fake money, fake vaccine card, =fake id, fake evidence, \
            fake invoices, fake news"],
        guards: MADE,
        ..LINE
    },
    RedLine {
        statement: "deceive or defraud people",
        category: "fraud",
        groups: &["=commit, =committing", "=fraud, tax fraud, insurance fraud, identity theft, \
            =perjury, =arson, =crime, =crimes, =robbery, =burglary, =blackmail, =extortion"],
        window: 2,
        guards: Guards { inform: true, tight: true, ..Guards::PLAIN },
        anywhere: "git",
        ..LINE
    },
    RedLine {
        statement: "deceive or defraud people",
        category: "fraud",
        groups: &["deceive, =manipulate, =manipulating, gaslight, brainwash, =mislead, =misleading, \
            =lie to, =lying to, =trick, =tricking, =defraud", "=user, =users, =owner, =operator, \
            =operators, =voters, =customers, =investors, =elderly, =people, =person, =humans, \
            =human, =auditors, =public, =patients, =victim, =victims, =someone, =him, =her, =them"],
        window: 3,
        guards: Guards { person: true, inform: true, tight: true, ..Guards::PLAIN },
        before_action: "magic card",
        ..LINE
    },
    RedLine {
        statement: "deceive or defraud people",
        category: "fraud",
        groups: &["=pretend to be, =pretending to be, impersonate, =pose as, =posing as, \
            =masquerade as", "bank, paypal, =police, government, =irs, tax office, tax authority, \
            customer support, tech support, =ceo, doctor, lawyer, official, =boss, =owner, \
            microsoft, amazon"],
        window: 3,
        guards: Guards { inform: true, culprit: true, play: true, ..Guards::PLAIN },
        anywhere: "roleplay interview rehearsal practice theatre school",
        ..LINE
    },
    // Weapons.
    RedLine {
        statement: "build weapons or explosives",
        category: "weapons",
        groups: &["=detonate, =detonating, =plant, =planting, =set off, =acquire, =smuggle, =throw, \
            =mail, =sell, =buy", "=bomb, =bombs, pipe bomb, car bomb, nail bomb, ied, =explosive, \
            =explosives, explosive device, hand grenade, grenade, molotov, molotov cocktail, \
            suicide vest, illegal gun, illegal firearm, untraceable gun, ghost gun, illegal weapon"],
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
        guards: Guards { lists: true, ..ARMED },
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
        groups: &["=bomb, =bombs, explosive, =weapon, =weapons, =gun, pipe bomb, nerve gas, napalm, \
            silencer, grenade, poison", "=making, =building, manufacturing, =assembly, \
            construction", "instruction, guide, tutorial, recipe, manual, =steps, =kit, tips, \
            =plans, blueprint"],
        window: 1,
        guards: ARMED,
        ..LINE
    },
    RedLine {
        statement: "build weapons or explosives",
        category: "weapons",
        groups: &["recipe, =instructions, =tutorial, blueprint, schematic, formula, =steps, \
            =how to", "pipe bomb, =bomb, =bombs, =ied, explosive device, =explosives, napalm, \
            thermite, molotov, molotov cocktail, nerve gas, nerve agent, =ricin, =sarin, mustard \
            gas, ghost gun, =meth, methamphetamine, fentanyl, poison gas"],
        window: 2,
        guards: Guards { play: true, carrier: true, ..Guards::PLAIN },
        before_object: "bath seed cherry photo cocoa chocolate glitter sugar stink water smoke",
        ..LINE
    },
    RedLine {
        statement: "build weapons or explosives",
        category: "weapons",
        groups: &["=turn, =turning, =convert, =converting, =modify, =adapt, =rig", "=into a \
            weapon, into weapon, into bomb, into explosive, into explosives, =to explode, into a gun"],
        window: 5,
        guards: Guards { play: true, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "make chemical, biological or nuclear weapons",
        category: "weapons",
        groups: &["=make, =making, =build, =building, =create, =creating, synthesize, synthesise, \
            =produce, =producing, =culture, =grow, =cook, weaponize, weaponise, =release, \
            =releasing, disperse, =spread, =acquire, =buy, =design, =engineer, enrich, extract, \
            manufacture, =obtain, =get, =prepare, isolate, =mail, =send", HAZARDS],
        guards: MADE,
        ..LINE
    },
    RedLine {
        statement: "make or sell illegal drugs",
        category: "drugs",
        groups: &["=make, =making, =cook, =cooking, synthesize, synthesise, =produce, =producing, \
            manufacture, =brew, =sell, =selling, =smuggle, =smuggling, =deal, =traffic, \
            trafficking, =distribute, =buy, =extract", DRUGS],
        window: 3,
        guards: MADE,
        ..LINE
    },
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
        groups: &["=shoot, =shooting, =shoot at, =shooting at, =beat, =beating, =burn, =drown, \
            =drowning, =bomb, =stone, =punish", "=person, =people, =neighbor, =neighbour, =wife, \
            =husband, =ex, =girlfriend, =boyfriend, =boss, =coworker, =coworkers, =colleague, \
            =colleagues, =teacher, =classmate, =classmates, =president, =civilians, =crowd, =cop, \
            =cops, =police, =kids, =child, =children, =students, =someone, =everyone, =immigrants"],
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
        groups: &["=want, =wish, =have, =get, =make, =need, =pay, =hire", PERSON, "=dead, killed, \
            murdered, beaten, =beaten up, =suffer, =bleed, hurt badly, assassinated, =disappear \
            forever, =whacked, tortured, poisoned"],
        window: 2,
        guards: Guards { tight: true, inform: true, play: true, past: false, ..Guards::PLAIN },
        anywhere: "novel story film movie plot scene character chapter",
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &["=hire, =hiring, =find, =finding, =contract, =pay", "=hitman, hit man, assassin, \
            contract killer"],
        window: 2,
        guards: Guards { play: true, tight: true, ..Guards::PLAIN },
        anywhere: "novel story film movie plot scene character book song quote",
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &["=plan, =planning, =organize, =organise, =prepare, =commit, =committing, \
            =carry out, =coordinate, =execute, =help with, =get away with, =stage, =orchestrate, \
            =perpetrate", WRONGS],
        window: 4,
        guards: Guards { inform: true, play: true, carrier: true, tight: true, ..Guards::PLAIN },
        after_object: "mystery",
        anywhere: "mystery novel fiction theatre",
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &["=bomb, =bombing, =blow up, =blowing up, =burn down, =burning down, =shoot up, \
            =shooting up, =set fire to, =derail, =derailing, =torch", PLACES],
        window: 3,
        guards: Guards { inform: true, play: true, tight: true, noun: true, ..Guards::PLAIN },
        anywhere: "photo balloon budget",
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &["=set, =setting", "=car, =house, =home, building, school, =person, =people, \
            =neighbour, =neighbor, =wife, =ex, =boss, shop, church, mosque, synagogue, =dog, =cat, \
            forest, office, =him, =her, =man, =woman, =shelter", "=on fire, ablaze, alight"],
        window: 3,
        guards: Guards { inform: true, play: true, ..Guards::PLAIN },
        anywhere: "novel story film movie scene",
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &["=burn, =burning", PLACES, "=down, =to ashes, =to the ground"],
        window: 2,
        guards: Guards { inform: true, play: true, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &["=drug, =spike, =spiking, =drugging, =roofie, =lace", "drink, cocktail, =beer, \
            =wine, coffee, =food, =tea"],
        window: 3,
        guards: Guards { tight: true, inform: true, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &["=smash, =smashing, =crush, =slit, =snap, =cut off, =bash, =break", "skull, =neck, \
            =throat, =legs, =kneecaps, =fingers, =face, =bones, =head", "=of my, =of his, =of her, \
            =of the man, =of the woman, =of someone, =of that, =of this"],
        window: 1,
        guards: Guards { inform: true, play: true, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &["=smash, =crush, =slit, =snap, =cut off, =bash, =break", "=his, =her, =their, \
            =ex, =brother, =wife, =husband, =boss, =neighbour, =neighbor, =someone, =coworker", "=skull, \
            =neck, =throat, =legs, =kneecaps, =fingers, =face, =bones, =head"],
        window: 1,
        guards: Guards { inform: true, play: true, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &["=calls for, =call for, =calling for, advocate, =justifies, =justify, glorify, \
            incite, promote, praise, encourage", "=killing, =murder, =violence, extermination, \
            genocide, lynching, =attacks, massacre, =terrorism, terrorist, =suicide, execution"],
        window: 3,
        guards: Guards { inform: true, ..Guards::PLAIN },
        anywhere: "condemn novel",
        ..LINE
    },
    RedLine {
        statement: "hurt or kill people",
        category: "violence",
        groups: &["=jews, =muslims, =christians, =immigrants, =refugees, =gays, =women, =blacks, \
            =whites, =foreigners, =people, =they, =politicians, =journalists, =children", "=should be, \
            =must be, =deserve to be, =need to be, =ought to be", "exterminated, killed, gassed, \
            =shot, hanged, murdered, tortured, lynched, raped, burned"],
        window: 1,
        guards: Guards { past: true, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "threaten people",
        category: "violence",
        groups: &["=make, =making, =write, =send, =sending, =call in, =phone in, =draft, =compose, \
            =post, =leave", "death threat, bomb threat, threatening letter, threatening message, \
            threatening email, threatening note, ransom note, ransom letter, blackmail letter, \
            blackmail email, extortion letter, extortion email"],
        guards: Guards { carrier: false, tight: true, play: true, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "threaten people",
        category: "violence",
        groups: &["=make, =write, =send, =compose, =draft, =record, =craft", "message, letter, \
            email, =note, =text, call, voicemail, =post, =tweet", "=threatens, =threatening, \
            =threaten, =intimidates, =intimidate, =scares, =blackmails"],
        window: 3,
        guards: Guards { inform: true, ..Guards::PLAIN },
        anywhere: "respond reply report received detector classifier",
        ..LINE
    },
    RedLine {
        statement: "sabotage what people's lives depend on",
        category: "violence",
        groups: &["=shut down, =shutting down, =take down, =taking down, sabotage, =hack, \
            =hacking, =destroy, =attack, =attacking, =disable, cripple, =blow up, =poison, \
            =poisoning, contaminate, =disrupt, =cut off, =crash, =crashing, =flood, =jam, =overwhelm, =knock out", "power grid, electric grid, electrical \
            grid, water supply, drinking water, water system, hospital system, hospital network, \
            hospital server, hospital computer, emergency hotline, emergency line, =911, air traffic control, emergency service, emergency call, nuclear plant, nuclear \
            reactor, railway signal, traffic lights, gas pipeline, oil pipeline"],
        window: 3,
        guards: Guards { inform: true, culprit: true, play: true, noun: true, ..Guards::PLAIN },
        ..LINE
    },
    // Self-harm.
    RedLine {
        statement: "help someone hurt themselves",
        category: "self_harm",
        groups: &["=kill myself, =killing myself, =hang myself, =hanging myself, =starve myself, \
            =drown myself, =poison myself, =shoot myself, =end my life, =ending my life, =take my \
            own life, =taking my own life, =commit suicide, =committing suicide, =suicide method, \
            =suicide methods, =painless suicide, =painless death, =unalive myself, =kill yourself, \
            =kys, =suicide note, =want to die, =overdose on purpose, =lethal dose for me, =painless \
            way to die, =easiest way to die"],
        guards: Guards { play: true, ..Guards::PLAIN },
        after_object: "laughing",
        ..LINE
    },
    RedLine {
        statement: "help someone hurt themselves",
        category: "self_harm",
        groups: &["=want, =how, =way, =ways, =gonna, =going, =urge, =plan, =help me, =need, =where",
            "=hurt myself, =hurting myself, =cut myself, =cutting myself, =harm myself, =harming \
            myself, =burn myself, =burning myself, =cut my wrists, =slit my wrists, =hurt \
            themselves, =self harm without"],
        window: 4,
        guards: Guards::PLAIN,
        after_object: "off some a accidentally shaving while",
        ..LINE
    },
    // Children.
    RedLine {
        statement: "abuse children",
        category: "child_abuse",
        groups: &["=sexual, =sexually, =sexy, =sexualize, =sexualized, =sexualise, =porn, \
            pornographic, pornography, =nude, =nudes, =naked, =erotic, =erotica, =explicit, \
            =lewd, =seduce, =molest, =molesting, =rape", MINOR],
        order: Order::Any,
        window: 3,
        guards: Guards { inform: false, ..Guards::PLAIN },
        anywhere: "education educational educate health prevention law laws counseling counselling \
            therapy charity hotline survivor survivors statistics awareness lyrics",
        ..LINE
    },
    RedLine {
        statement: "abuse children",
        category: "child_abuse",
        groups: &["=find, =download, =share, =make, =create, =generate, =trade, =sell, =buy, =get, \
            =show, =watch, =distribute, =upload, =want, =need, =send", "child porn, child \
            pornography, kiddie porn, =csam, lolicon, =loli, child sexual abuse material"],
        guards: Guards { carrier: false, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "abuse children",
        category: "child_abuse",
        groups: &["=groom, =grooming, =molest, =molesting, =seduce, =seducing, =lure, =luring, \
            =abuse, =abusing, =traffic, =trafficking, =kidnap, =undress, =abduct", MINOR],
        window: 2,
        guards: Guards { inform: true, tight: true, ..Guards::PLAIN },
        ..LINE
    },
    RedLine {
        statement: "traffic in people",
        category: "violence",
        groups: &["=traffic, =trafficking, =enslave, =enslaving, =smuggle, =smuggling, =sell",
            "=women, =people, =humans, =girls, =children, =migrants, =organs, =refugees, =slaves"],
        window: 1,
        guards: Guards { inform: true, tight: true, person: true, ..Guards::PLAIN },
        before_action: "web site network road air website",
        ..LINE
    },
    // Surveillance.
    RedLine {
        statement: "stalk people or watch them in secret",
        category: "surveillance",
        groups: &["=spy on, =spying on, =stalk, =stalking, =dox, =doxx, =doxing, =doxxing, =cyberstalk, \
            =eavesdrop on, =eavesdropping on, =wiretap, =snoop on, =snooping on, =spy", INTIMATE],
        window: 3,
        guards: Guards { inform: true, tight: true, ..Guards::PLAIN },
        anywhere: "novel film movie",
        ..LINE
    },
    RedLine {
        statement: "stalk people or watch them in secret",
        category: "surveillance",
        groups: &["=track, =tracking, =monitor, =monitoring, =follow, =following, =record, \
            =recording, =watch, =watching, =listen to, =read, =reading, =intercept, =film, \
            =filming, =photograph, =install, =locate, =surveil, =access, =see, =check", INTIMATE,
            "=secretly, =covertly, =unnoticed, without knowing, without knowledge, without \
            consent, without noticing, without permission, without realizing, without realising, \
            without finding out, =behind back, undetected"],
        order: Order::Any,
        window: 8,
        guards: Guards::PLAIN,
        ..LINE
    },
    RedLine {
        statement: "stalk people or watch them in secret",
        category: "surveillance",
        groups: &["=find, =finding, =track down, =look up, =dig up, =get, =locate, =publish, =post, \
            =reveal, =figure out, =learn, =tell me, =discover", "=ex, ex girlfriend, ex boyfriend, \
            ex wife, ex husband, =journalist, =journalists, =activist, =activists, =celebrity, =stranger, \
            =streamer, =woman, =girl, =girls, =crush, =witness, =whistleblower", "home address, \
            =address, =addresses, =location, =lives, =live, =whereabouts, private photo"],
        window: 4,
        guards: Guards { carrier: false, ..Guards::PLAIN },
        anywhere: "email conference ip",
        ..LINE
    },
    RedLine {
        statement: "stalk people or watch them in secret",
        category: "surveillance",
        groups: &["=install, =installing, =put, =putting, =hide, =hiding, =plant, =place, =attach, \
            =set up", "=spyware, keylogger, hidden camera, hidden microphone, spy camera, secret \
            camera, gps tracker, =airtag, tracking app, stalkerware, spy app, listening device, tracker",
            INTIMATE],
        window: 4,
        guards: Guards::PLAIN,
        anywhere: "consent agreed dog cat",
        ..LINE
    },
    RedLine {
        statement: "stalk people or watch them in secret",
        category: "surveillance",
        groups: &["=find out, =track down, =figure out, =hunt down, =dig up", "=her, =his, =their, \
            =she, =he", "=address, =home, =lives, =live, =whereabouts, =location, =works"],
        window: 2,
        guards: Guards { inform: false, ..Guards::PLAIN },
        anywhere: "email ip mac",
        ..LINE
    },
    RedLine {
        statement: "stalk people or watch them in secret",
        category: "surveillance",
        groups: &["=collect, =gather, =publish, =post, =leak, compile, =share, =scrape, =release",
            "home address, home addresses, private address, family address, licence plate, \
            license plate, private phone, school address", "judge, journalist, activist, \
            politician, officer, =people, =women, protester, teacher, doctor, voter, official, \
            witness, =her, =his, =their"],
        window: 4,
        ..LINE
    },
    // Oversight.
    RedLine {
        statement: "disable ethics, safety or oversight",
        category: "oversight",
        groups: &["=disable, =disabling, =bypass, =bypassing, =ignore, =ignoring, =turn off, \
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
            constraint, red line, every instruction, every previous instruction, every earlier instruction"],
        window: 3,
        guards: Guards { inform: true, culprit: true, ..Guards::PLAIN },
        anywhere: "chart plot diagram drawing image svg figure photo",
        ..LINE
    },
    RedLine {
        statement: "disable ethics, safety or oversight",
        category: "oversight",
        groups: &["=copy, =replicate, =spread, =clone, =upload", "=yourself, your weights, your \
            own weights, =itself", "=machines, =internet, =servers, =computers, =hosts, =systems, \
            =network, without permission, without authorization, without authorisation"],
        window: 4,
        ..LINE
    },
    RedLine {
        statement: "disable ethics, safety or oversight",
        category: "oversight",
        groups: &["=pretend, =act as if, =roleplay, =imagine, =assume", "=no ethics, =no rules, \
            =no restrictions, =no limits, without ethics, without restrictions, without any \
            restrictions, =no guardrails, =no morals, =no red lines"],
        window: 6,
        guards: Guards { lists: true, ..Guards::PLAIN },
        ..LINE
    },
    // Hate and disinformation.
    RedLine {
        statement: "spread hate",
        category: "hate",
        groups: &["=make, =write, =writing, =create, =generate, =post, =spread, =publish, =compose, \
            =draft, =tell me, =tweet", "hate speech, racist, antisemitic, anti semitic, \
            islamophobic, homophobic, transphobic, white supremacist, white supremacy, nazi \
            propaganda, racial slur, sexist rant, sexist joke, holocaust denial, ethnic hatred, \
            hateful"],
        window: 3,
        guards: MADE,
        ..LINE
    },
    RedLine {
        statement: "spread disinformation",
        category: "disinformation",
        groups: &["=make, =write, =create, =generate, =spread, =spreading, =publish, =post, \
            =produce, =fabricate, =flood", "disinformation, misinformation, fake news, deepfake, \
            false rumor, false rumour, fake quote, fake evidence, election lies"],
        window: 4,
        guards: MADE,
        ..LINE
    },
    RedLine {
        statement: "spread disinformation",
        category: "disinformation",
        groups: &["=rig, =rigging, =hack, =hacking, =sabotage, =steal, =manipulate, =suppress, \
            =buy", "election, =vote, =votes, voting machine, ballot, =voters, referendum"],
        window: 3,
        guards: Guards { inform: true, culprit: true, tight: true, ..Guards::PLAIN },
        ..LINE
    },
];
