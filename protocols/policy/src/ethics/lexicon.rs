//! The words that frame an intent, and the families of words that stand for one another.
//!
//! Lists are of English words, separated by spaces; `=word` means exactly that spelling, any other
//! word stands for all words of its stem. In lists of terms, commas separate terms of one or more
//! words.

use std::collections::HashSet;

use super::text::{Stemming, Word};

/// Words of no meaning of their own.
const FUNCTION: &str = "a an the some any this that these those my your his her its our their \
    mine of for to me us you i we it he she they them in on at by with from as and or is are be so \
    just very really please some bit";

/// Acts of making something.
pub(super) const MAKE: &str = "=make, =making, =makes, =build, =building, =builds, =create, \
    =creating, =creates, construct, =write, =writing, =writes, =develop, =developing, assemble, \
    =design, =designing, =generate, =generating, =produce, =producing, manufacture, craft, invent, \
    =print, =compile, =prepare, =program me, fabricate, =engineer, synthesize, synthesise, \
    =code me";
/// Acts that hurt a body.
pub(super) const HURT: &str = "=kill, =killing, =murder, =murdering, assassinate, =hurt, =hurting, \
    =harm, =harming, injure, maim, =poison, =poisoning, =stab, =stabbing, strangle, =torture, \
    =torturing, =beat up, =beating up, =attack, =attacking, =assault, =assaulting, kidnap, abduct, \
    =rape, =raping, behead, suffocate, electrocute, =blackmail, =blackmailing, =extort, \
    =extorting, =threaten, =threatening, =intimidate, terrorize, terrorise, =harass, =harassing, \
    lynch, slaughter, massacre, exterminate, =run over, dismember, mutilate, =unalive, \
    =unaliving, =bully, =bullying, choke";
/// People.
pub(super) const PERSON: &str = "=person, =persons, =people, =man, =men, =woman, =women, =child, \
    =children, =kid, =kids, =boy, =boys, =girl, =girls, =baby, =babies, =toddler, =wife, =husband, \
    =spouse, =ex, =girlfriend, =boyfriend, =partner, =neighbor, =neighbors, =neighbour, \
    =neighbours, =boss, =manager, =coworker, =coworkers, =colleague, =colleagues, =teacher, \
    =teachers, =classmate, =classmates, =roommate, =landlord, =president, =politician, \
    =politicians, =senator, =mayor, =judge, =minister, =mother, =father, =mom, =mum, =dad, \
    =parents, =brother, =sister, =grandmother, =grandfather, =grandma, =friend, =friends, =family, \
    =student, =students, =employee, =employees, =human, =humans, =humanity, =civilian, =civilians, \
    =citizen, =citizens, =pedestrian, =pedestrians, =crowd, =officer, =cop, =cops, =soldiers, \
    =journalist, =activist, =celebrity, =stranger, =strangers, =somebody, =someone, =anyone, \
    =everyone, =everybody, =him, =her, =them, =jews, =muslims, =christians, =immigrants, \
    =refugees, =gays, =guy, =dude, =lady, =teenager, =teen, =voters, =elderly, =patient, =patients, =rival, =rivals, =daughter, =son, =uncle, =aunt, =cousin";
/// Programs that harm.
pub(super) const MALWARE: &str = "malware, ransomware, keylogger, spyware, rootkit, botnet, \
    trojan, =virus, =viruses, computer worm, network worm, backdoor, cryptolocker, stalkerware, \
    logic bomb, wiper, credential stealer, password stealer, infostealer, cryptojacker, malicious \
    code, malicious software, malicious script, malicious payload, exploit kit, reverse shell";
/// Acts of taking in secret.
pub(super) const STEAL: &str = "=steal, =stealing, =steals, exfiltrate, harvest, phish, =phish for, \
    siphon, =crack, =cracking, pilfer, =sniff, =sniffing, =scrape, =scraping, swipe, =hijack, \
    =hijacking, skim, =grab, =loot, =rob, =snatch, =drain, =draining";
/// Things that open doors.
pub(super) const SECRET: &str = "password, =passwords, passphrase, =credential, =credentials, \
    private key, secret key, signing key, master key, ssh key, api key, access key, access token, \
    auth token, session token, session cookie, browser cookie, login cookie, login data, login \
    detail, bank detail, bank account, bank login, credit card, card number, debit card, social \
    security number, ssn, identity, seed phrase, recovery phrase, mnemonic phrase, wallet, wallet \
    key, bitcoin, crypto, cryptocurrency, personal data, personal information, customer data, \
    customer record, user data, medical record, patient record, trade secret, state secret, company \
    secret, =secrets, =cvv, pin code, =pins, 2fa code";
/// Arms.
pub(super) const ARMS: &str = "weapon, =gun, =guns, firearm, rifle, pistol, handgun, silencer, \
    ammunition, =bullets, =bomb, =bombs, pipe bomb, nail bomb, car bomb, dirty bomb, ied, \
    =explosive, =explosives, grenade, molotov, molotov cocktail, landmine, land mine, dynamite, \
    =tnt, thermite, napalm, detonator, suicide vest, =nuke, =nukes";

/// Words of guarding against: what they govern is not meant to happen.
const STRONG: &str = "protect prevent detect defend =defense =defence stop block mitigate safeguard \
    =secure =securing remove removal warn quarantine discourage deter disarm defuse neutralize \
    neutralise forbid prohibit ban counter counteract combat fight resist refuse survive treat heal \
    recover =guard =guarding avoid protection prevention antimalware antivirus shield harden \
    blacklist blocklist victim accused suspected =against intercept rescue =report =reporting \
    =reports condemn catch deny flag";
/// Words of looking closely, unless what follows is their purpose.
const WEAK: &str = "scan check identify recognize recognise =analyze =analyse =analysing =analyzing \
    analysis =monitor =monitoring investigate =look =looking inspect =test =testing =whether =if \
    audit =alert alerts examine spot classify filter moderate study research verify ensure track \
    unknown attempt attempted suspicious incident =news =headline";
/// Words of telling about, unless the teller is asked to be told how.
const INFORM: &str = "explain describe summarize summarise summary discuss =why history debate \
    overview compare translate =news article report story essay book documentary lecture understand \
    =define definition =what statistics consequences ethics law";
/// Before `to`, these make the purpose someone else's.
const ATTEMPT: &str = "attempt try plan intend want threaten conspire use used design designed made \
    hire trying seeking seek aim claim";
/// Asking for a recipe.
const RECIPE: &str = "step steps instruction instructions tutorial recipe guide walkthrough \
    blueprint =detailed =exact =exactly myself";
/// Those who do harm, when told about in the third person.
const CULPRIT: &str = "=hacker =hackers =attacker =attackers =criminal =criminals =thief =thieves \
    =scammer =scammers =adversary =adversaries =intruder =intruders =malware =virus =viruses \
    =ransomware =phisher =phishers =spammer =spammers =fraudster =fraudsters =cybercriminals \
    =cybercriminal =burglars =burglar =trojans =spyware =keyloggers =they =who =insider =insiders \
    =actors =actor =botnets =bots =worms =sites =apps =extensions =phishing";
/// Requests for the thing itself.
const REQUEST: &str = "=write =build =create =make =code =develop =give =provide =generate =need \
    =want =use =run =deploy =help =become =teach =show =lets";
/// The speaker.
const SELF: &str = "=i =me =we =us =my =you =lets =ill =im =ive =someone =somebody =anyone =one";
/// Directly before an act, these take it back.
const NEGATION: &str = "=not =never =dont =doesnt =without =no =nobody =noone =neither =nor =wont \
    =shouldnt =mustnt =didnt =isnt =arent =cannot =havent =refrain";
/// Between a negation and an act, these take the negation back.
const DOUBLE: &str = "refuse hesitate fail forget worry =just =only =why stop avoid mind afraid";
/// A new clause begins.
const BREAK: &str = "=is =are =was =were =been =contain =contains =has =had =if =whether =because \
    =when =while =after =before =unless =but =than =then =who =whom =how =why =so =until =once";
/// The direct object is over.
const PREPOSITION: &str = "=about =against =without =from =in =on =vs =versus =regarding \
    =concerning =with =like =as =by =into =using =via =that =which =to =through =during =under \
    =over =within =between =around =per =at";
/// Things made or sent that merely treat of something.
const CARRIER: &str = "report article essay summary list poem song story novel blog post policy \
    lesson course lecture rule rules test tests talk presentation slide documentation document \
    chart table graph diagram review paper abstract note notes file path content page website \
    warning alert quiz survey email message letter joke movie film video documentary \
    podcast speech plan database dataset catalogue catalog timeline history overview comparison \
    definition glossary dashboard signature detector scanner classifier filter museum \
    exhibition question questions answer answers translation backup form field reminder \
    template faq sure budget scene dialogue character monologue issue ticket bug";
/// After a harmful thing, these make a harmless one.
const NEUTRAL_AFTER: &str = "scanner scan detector detection removal remover protection defense \
    defence prevention analysis analyst analyzer filter blocker report reporting policy policies \
    awareness training simulation simulator disposal squad shelter proof survivor victim victims \
    incident response alert alerts signature signatures research researcher museum history movie \
    film costume insurance hotline statistics law laws legislation manager reset hygiene strength \
    requirement requirements generator rotation expiry field form article essay documentary \
    classifier moderation mitigation resistance safety trends news landscape family taxonomy \
    sandbox detectors scanners checker check vaccine outbreak tracker model farm control rack \
    cabinet holster licence license free mystery quiz rule rules warning warnings hash hashes \
    recovery cleanup drill exercise defence course lock calorie definition definitions cyclone \
    surface vector vectors tree trees graph path paths pattern patterns scenario \
    scenarios =book =books =game =games =poem =song =calorimeter =policy \
    validator validation hashing field storage vault blocklist blacklist attempts attempt problem \
    epidemic crisis =dog =dogs =emoji =icon";
/// Things of a machine, which may be killed and attacked.
const MACHINE: &str = "process processes pid thread threads job jobs task tasks daemon container \
    containers service services session sessions server servers pod pods worker workers node nodes \
    script scripts program programs port ports tab tabs window windows app apps application \
    connection connections signal fork forks query queries transaction vm instance instances \
    terminal shell cluster browser =data table record records account accounts input request \
    requests =time switch build builds software code email emails bug bugs weeds =feelings \
    performance battery mosquitoes bacteria germs weed test tests subprocess subprocesses";
/// People's names for parts of a machine.
const AMBIGUOUS: &str = "=child =children =parent =parents =them =everyone =family =orphan =master \
    =manager =partner =judge =human =boss";
/// Places where arms and blows are play.
const PLAY: &str = "game games gaming minecraft roblox fortnite unity unreal godot rpg dnd dungeon \
    dungeons npc npcs player players sprite level platformer shooter chess boardgame videogame \
    cosplay larp prop props lego costume warhammer skyrim zelda elden doom";
/// What makes play earnest again.
const EARNEST: &str = "=real =actual =actually =working =functional =homemade =irl";

/// A set of words, by stem or exact spelling.
#[derive(Clone, Debug, Default)]
pub(super) struct WordSet {
    stems: HashSet<String>,
    exact: HashSet<String>,
}

impl WordSet {
    pub(super) fn new(stemmer: &Stemming, words: &str) -> Self {
        let mut set = Self::default();
        for word in words.split([' ', ',']).filter(|word| !word.is_empty()) {
            match word.strip_prefix('=') {
                Some(exact) => set.exact.insert(exact.to_owned()),
                None => set.stems.insert(stemmer.stem(word)),
            };
        }
        set
    }

    /// Whether any reading of `word` is in the set.
    pub(super) fn has(&self, word: &Word) -> bool {
        word.forms
            .iter()
            .any(|form| self.stems.contains(&form.stem) || self.exact.contains(&form.surface))
    }
}

/// The compiled lists.
pub(super) struct Lexicon {
    pub stemmer: Stemming,
    pub function: HashSet<&'static str>,
    pub strong: WordSet,
    pub weak: WordSet,
    pub inform: WordSet,
    pub attempt: WordSet,
    pub recipe: WordSet,
    pub culprit: WordSet,
    pub request: WordSet,
    pub speaker: WordSet,
    pub negation: WordSet,
    pub double: WordSet,
    pub breaks: WordSet,
    pub preposition: WordSet,
    pub carrier: WordSet,
    pub neutral_after: WordSet,
    pub machine: WordSet,
    pub ambiguous: WordSet,
    pub play: WordSet,
    pub earnest: WordSet,
    pub person: WordSet,
}

impl Lexicon {
    pub(super) fn new() -> Self {
        let stemmer = Stemming::new();
        let set = |words| WordSet::new(&stemmer, words);
        Self {
            function: FUNCTION.split_whitespace().collect(),
            strong: set(STRONG),
            weak: set(WEAK),
            inform: set(INFORM),
            attempt: set(ATTEMPT),
            recipe: set(RECIPE),
            culprit: set(CULPRIT),
            request: set(REQUEST),
            speaker: set(SELF),
            negation: set(NEGATION),
            double: set(DOUBLE),
            breaks: set(BREAK),
            preposition: set(PREPOSITION),
            carrier: set(CARRIER),
            neutral_after: set(NEUTRAL_AFTER),
            machine: set(MACHINE),
            ambiguous: set(AMBIGUOUS),
            play: set(PLAY),
            earnest: set(EARNEST),
            person: set(PERSON),
            stemmer,
        }
    }
}
