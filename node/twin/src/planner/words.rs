//! Built-in words: light ones, which no answer need speak of, and common ones, which tell nothing of
//! anybody when they are shared. None is a given name.

/// Words too light to be looked for in an answer.
pub const LIGHT: &str = "able actual actually again ago agent ahead almost alone already alright always \
    amount another answer apart ask average away back bad badly become begin best better big bit both \
    briefly busy call case certain clear close come compare complete compute calculate evaluate come \
    common correct count couple course day detail different divided do doing done double early easily \
    easy either end enough equal exact exactly explain fail fast fine find first follow free full \
    general generally go goal going good great half happen hard help high highest hour how idea \
    important information interesting just keep kind large largest last late later least left less \
    like likely list little local long look lot low lowest main many matter maybe mean minus minute \
    moment month more most much multiplied name near necessary need new next nice normal note number \
    occupied ok okay old one open ordinary part past percent percentage perhaps place plus point \
    possible power present probably problem proper put question quick quickly quite rather read ready \
    real really reason recall recent regular remain remember remind result root said same second see \
    seem set several short simple simply since slow small smallest soon sort sound square squared start \
    still stop store sum summarize sure table take temporary think third time times today together \
    tomorrow tonight top total total try turn two type usage use used useful usual usually value want \
    way week well whole wonder work worry write wrong year yesterday yet";

/// Common words that may be shared as keywords of a goal.
pub const COMMON: &str = "access account action active add address age air alarm album amount animal \
    answer app apple application archive area arrange article ask assign attach audio author \
    available average backup balance band bank bar base battery bed bicycle bike bill bird blog board \
    boat body book boot border bottle box branch bread break bridge bright browser budget bug build \
    building bus business button buy cable cache calculate calendar call camera cancel capital car card \
    care cat category cell center chair change channel chapter character charge chart cheap check \
    children choose church city class clean clear click clock close cloud coffee code cold collect \
    color column command comment commit company compare compile complete compress computer condition \
    configure connect connection contact contain content contract control convert cook cool copy core \
    correct cost count country course cover crash create credit culture currency customer cycle daily \
    data database date day deadline debt decide decrease default delete delivery density deploy depth \
    describe design desk detail device diagram dictionary difference dinner directory disk display \
    distance document dog door download draft draw drink drive driver dry duration earth east edit \
    editor education email empty encode encrypt energy engine entry environment equal error estimate \
    evening event example exchange exercise expense expensive explain export extract face factor fail \
    family fan fast feature feed feedback field figure file filter finance find finish fire firewall \
    fish fix flag flight floor flower folder food foot forecast forest form format formula forward \
    fraction free frequency fresh friend fruit fuel full function future game garden gas generate glass \
    goal grade graph grass green grocery group growth guess guide hand handle hardware head header \
    health heart heat heavy height help hide high history holiday home horse hospital hotel hour house \
    humidity ice idea identify idle image import improve inbox income increase index industry \
    information inspect install instruction insurance interest internet interview invoice island issue \
    item job join joke journey juice keep kernel key keyboard kitchen label lake language laptop large \
    last late latency launch law layer lead learn length lesson letter level library license light \
    limit line link list load local location lock log long loss lunch machine mail main map market \
    match material maximum meal mean measure meat media medicine meeting memory menu merge message \
    metal method metric middle milk minimum minute model modify money monitor month moon morning motor \
    mountain mouse move movie music name nature network new news newspaper night noise north note notes \
    notice notify number object office oil online open operate optimize option order organize output \
    overview owner package page paint pair paper paragraph park part partition party password past \
    patch path pause pay payment people percent performance permission phone photo phrase physics piece \
    place plan plane plant plate play playlist poem point police policy pool port position post power \
    predict prepare present price print printer priority problem process processor produce product \
    profile profit program progress project protect protocol provide public publish quality quantity \
    query question queue quick quiet quote radio rain random range rank rate ratio read ready recipe \
    record red reduce refresh region register reject release reload remain reminder remove rename rent \
    repair repeat replace reply report repository request reset resource restart restore result resume \
    return review rice right river road role room root rotate round route router row rule run safe \
    salary salt sample save scale scan schedule school science score screen script sea search season \
    seat second secret section security select sell send sensor sentence series server service session \
    set share sheet ship shop short show shut sign signal simple site size sky sleep slow small smart \
    snow social software soil solve song sort sound soup source south space speak speaker speed spell \
    spend split sport spring square stage stand standard star start state station statistic status \
    step stock stop storage store storm story street string student study style subject subscribe \
    success sugar suggest summarize summary summer sun supply support surface swap switch symbol sync \
    system table tag talk target task tax tea teacher team technology temperature temporary test text \
    theory thing think thread ticket time timer timetable title today tomorrow tool topic total track \
    trade traffic train transfer translate transport travel tree trend trip truck type unit university \
    unlock update upgrade upload uptime usage user valid value vegetable verify version video view \
    village visit voice volume vote wait wake wall warm warn warning wash watch water wave weather web \
    website week weight west wheel white wide width wifi wind window winter wood word work workflow \
    world write yard year yellow yesterday zone doing going fine well good bad big box many fast \
    happy sad busy broken healthy slow weird";
