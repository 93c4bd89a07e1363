/// Words that describe, for made-up names: friendly ones, none that could hurt beside any noun.
enum Adjectives {
    static let text = """
        able abundant academic acoustic active actual adaptable adept adorable advanced adventurous aerial
        affable agile airborne airy alert alive alpine amazing amber ambient ambitious ample amused ancient
        angelic animated antique apt aquatic arboreal arcane arched arctic ardent arid artful artistic
        ascending ashen aspiring assured astral astute athletic atomic attentive august autumnal avid awake
        aware awesome azure baked balanced balmy barefoot baroque bashful basic basil bayside beachy beaming
        bearded beloved beneficial benevolent bespoke big blazing blissful blithe blocky blooming blue
        blushing bold bonny bookish boreal botanical bouncy boundless brainy brambly brassy brave brawny
        breezy brewed bright brilliant brimming brisk bronze bubbly buoyant burly burnished busy buttery
        buzzing caffeinated calm candid candied canny capable caped captivating carefree careful caring
        carved casual cautious cedar celestial central ceramic certain charcoal charmed charming cheeky
        cheerful cheery cherished chestnut chilled chilly chipper chirpy chivalrous choral chosen chromatic
        chummy cinnamon circular citric civic civil classic classy clean clear clever climbing cloaked
        cloudy clubby coastal cobalt colorful colossal comely comfy comic common compact composed concise
        confident content cookie cool copper coral cordial cosmic courageous courteous covert cozy crackling
        crafted crafty craggy creamy creative crescent crimson crinkly crisp crowned crunchy crystal cuddly
        cultured cunning curious curly curved cushy cute cyan daily dainty damp dandy dapper daring dashing
        dauntless dawning dazzling decent decisive decorous deep deft delicate delighted delightful deluxe
        dependable deserved detailed determined devoted dewy diamond digital diligent dimpled diplomatic
        direct discreet distant diurnal divine docile doting dotted downy dramatic dreamy drifting drowsy
        dulcet durable dusky dusty dutiful dwarven dynamic eager early earnest earthen earthy east eastern
        easy ebony eccentric echoing eclectic ecstatic edible educated effective efficient effortless eighth
        elaborate elastic elated elder electric elegant elemental elevated elfin elite eloquent elusive
        elven emerald eminent enchanted enchanting endless enduring energetic engaging enigmatic enormous
        epic equal equatorial ermine essential established esteemed eternal ethereal evening evergreen
        everlasting exact excellent exciting exotic expert exquisite extra exuberant fabled fabulous factual
        fair fairy faithful famed familiar famous fanciful fancy fantastic faraway fast favored fearless
        feathered feathery fertile festive fiery fifth fine finest firm first fizzy flaky flannel flaring
        flashy fleecy fleet flexible floating floral flowery fluent fluffy fluttery flying foamy focused
        fond forest formal formidable forthright fortified fortunate fossil fragrant frank fresh friendly
        frilly frisky frosted frosty frozen frugal fruity full funky funny furry fuzzy galactic gallant
        genial genius gentle genuine giant giddy gifted giggly gilded ginger glacial glad glamorous glassy
        gleaming gleeful gliding glimmering glistening glittery global glorious glossy glowing gnarly golden
        good goofy gorgeous graceful gracious grand granite grassy grateful gravelly great green gregarious
        grinning groovy grounded growing guarded guided gusty hale handcrafted handmade handsome handy happy
        hardy harmonic harmonious hasty haunted hazel hazy healthy hearty heavenly hefty heightened helpful
        herbal heroic hidden high hilarious hilly historic holistic hollow homemade homespun honest honeyed
        honorable honored hooded hopeful horned hospitable huge humble humming humorous hungry hushed hybrid
        hyper iconic icy ideal idle idyllic illustrious imaginary imaginative immense immortal impartial
        imperial important impressive improved indigo indoor industrious infinite informed ingenious inland
        innate inner innocent inquisitive insightful inspired instant intense intent intrepid intricate
        inventive invincible inviting iron ironclad island ivied ivory jade jaunty jazzy jesting jeweled
        jiggly jocular jolly jovial joyful joyous jubilant judicious juicy jumbo jumpy junior jurassic just
        karmic keen kind kindhearted kindly kindred kinetic kingly knightly knitted knobby knotted knowing
        known kooky laced lacy lakeside laminated lanky large lasting late latent laughing lavender lavish
        lawful leading leafy lean leaping learned leathery legal legendary legible leisurely lemony lenient
        level liberal light likable likely lilac limber lime limestone linear linen literary little lively
        living local lofty logical lone lonesome long loud lovable loved lovely loving low loyal lucid lucky
        luminous lunar lush lustrous luxurious lyric lyrical macro magenta magic magical magnetic
        magnificent mahogany main majestic major mango mannerly many maple marble marbled marigold marine
        marked maroon marvelous massive mature mauve mazy meadowy measured mechanical medieval mellow
        melodic melodious memorable merciful merry metallic meteoric methodical mica microscopic midnight
        mighty mild milky mindful mined mineral mini miniature minimal minor minty minute mirthful misty
        mixed mobile modern modest molten monthly monumental moody moonlit moonstruck morning mosaic mossy
        motley mountain mulled multi murky muscular musical mustard muted mysterious mystic mystical mythic
        mythical narrow native natty natural nautical navy near neat nebulous needed neighborly neon nervy
        nested neutral new newborn newest next nice nifty nightly nimble ninth noble nocturnal nodding
        nomadic nordic normal north northern nostalgic notable noted noteworthy novel nurturing nutmeg nutty
        oaken oaky oatmeal obedient obliging observant obsidian obvious occasional oceanic ochre odd offbeat
        olive omega onward onyx opal opaline open optimal optimistic opulent orange orbital orchid orderly
        ordinary organic organized original ornate outdoor outer outgoing outstanding oval overgrown
        overjoyed paced pacific padded painted palatial pale papery parallel partial passionate pastel
        pastoral patchy patient patterned peaceful peachy peaked pearly pebbly peculiar pensive peppery
        peppy perceptive perennial perfect perky permanent persistent petal petite petrified phantom picky
        picturesque piercing pine pink pioneering pixelated pixie placid plaid plain platinum playful
        pleasant pleased plentiful plucky plum plush poetic pointed poised polar polished polite pompous
        popular portable posh positive potent powdery powerful practical practiced precious precise premier
        premium present pretty priceless primal prime primeval princely pristine private prized productive
        profound prolific prominent promising prompt proper prosperous protective proud proven prudent puffy
        pumpkin punctual pure purple puzzled quaint qualified quantum quartz queenly quick quiet quilted
        quintessential quirky quixotic quotable radiant radical ragged rainy rambling rapid rare raspberry
        rational ravenous ready real rebellious recent reclusive red refined reflective refreshing regal
        regional regular reigning relaxed reliable remarkable remote renewed renowned resilient resolute
        resonant resourceful respectful responsible restful restless restored retired retro reverent
        rhythmic rich right rigid ringed rippling rising risky ritzy rival roaming roaring roasted robust
        rocky rolling romantic roomy rosy rounded roving royal rubbery ruby ruffled rugged rumbling runic
        running rural russet rustic rustling rusty sacred saddled saffron sage salient salty salubrious same
        sandy sanguine sapphire sassy satin satisfied savory savvy scaly scarlet scenic scented scholarly
        scientific scrappy scrubby sculpted seafaring seaside seasonal seasoned second secret sedate
        selected selective senior sensible sepia serene serious settled seventh shaded shadowy shady shaggy
        shallow sharp sheltered shielded shimmering shining shiny shipshape short shy sidereal silent silken
        silky silly silver silvery similar sincere single sixth sizable skilled skillful skybound sleek
        sleepy slender slick sliding slim slow small smart smiling smitten smoky smooth snappy snazzy sneaky
        snowy snug snuggly soaring sociable social soft solar soldierly solemn solid solitary sonic soothing
        sophisticated sound southern spacious spangled sparkling sparkly special speckled spectacular
        spectral speedy spellbound spherical spicy spiky spinning spiral spirited splendid spontaneous
        spooky sporty spotless spotted sprightly springy spruce spry square squeaky squiggly squishy stable
        stained stalwart standing starlit starry stately steadfast steady stealthy steamy steely steep
        stellar sterling still stirring stoic stone stony storied stormy stout straight stranded strategic
        striking striped strong studious sturdy stylish suave sublime subtle subtropical successful sugary
        suitable sulky summery sunbaked sundry sunken sunlit sunny super superb superior supple supportive
        supreme sure surging surprised surreal sustained svelte swaying sweeping sweet swell swift swirling
        swooping sylvan symbolic symmetric synthetic systematic tactful tailored talented talkative tall
        tame tan tangerine tangible tangled tangy tart tasteful tasty tawny teal teeming temperate tempered
        tenacious tender tenth terrific textured thankful thatched thawed theatrical thick thin third
        thirsty thorough thoughtful thrifty thriving thundering thundery tickled tidal tidy tiered timber
        timberline timeless timely tinted tiny tireless titanic toasted toasty together tolerant top topaz
        topical torchlit tough towering tracked traditional trailing tranquil transparent treasured
        tremendous trendy tricky trim triumphant tropical true trusted trustful trusting trusty truthful
        tuneful turbo turquoise turreted twilight twin twinkling twinkly twirling twisty ultimate ultra
        umber unafraid unbeaten unbiased unbroken uncommon undaunted undersea understanding understated
        undisputed unending unfailing unfazed unhurried unified uniform unique united universal unlimited
        unmatched unspoiled untamed untold unusual upbeat upcoming uplifting upper upright upstanding urban
        urbane useful usual utmost vagabond valiant valid valorous valuable vanilla varied vast vaulted
        vegan veiled velvet velvety venerable verbal verdant verified versatile vertical vibrant victorious
        vigilant vigorous vintage violet virtual virtuous visible visionary vital vivacious vivid vocal
        volcanic voluminous voyaging waggish waiting wakeful walking walnut wandering warm wary watchful
        watery wavy waxen wayward wealthy weathered weekly weightless welcome well western whimsical
        whirling whiskered whispering whistling wholesome wicker wide wild willing willowy windy winged
        winning winsome wintry wise wispy wistful witty wizardly wobbly wonderful wondrous wooded wooden
        woodland woodsy woolly wordy worldly worthy woven yearly yielding young youthful yummy zany zealous
        zen zesty zigzag zippy zonal
        """
}
