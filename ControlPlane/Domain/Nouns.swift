/// Things and beings, for made-up names: harmless ones, none that could hurt beside any adjective.
enum Nouns {
    static let text = """
        acorn acre adder adventure agate airship albatross alcove alder algae allay alley almanac almond
        aloe alpaca altar amber amethyst anchor anchovy andesite anemone angler ant anteater antelope antler
        anvil apple apricot apron aquarium arbor arcade arch archer archway arena armadillo armor aroma
        arrow artichoke artisan ash aspen asteroid atlas atoll atom attic auburn aurora avocado awning axle
        axolotl azalea baboon badge badger bagel bakery balcony ballad balloon bamboo banana bandana banjo
        banner bard barley barn barnacle barrel basalt basil basin basket bassoon bastion bat bay bayou
        beach beacon bead beam bean bear beard bedrock bee beech beehive beetle begonia belfry bell bellows
        bench berry bicycle bingo birch bird biscuit bison blackberry blanket blaze blizzard blossom
        blueberry bluebird bluejay bluff boat bobcat bonfire bonnet bonsai book bookshelf bookworm boomerang
        boots bottle boulder bouquet bow bowl bramble branch bread breeze brewer brick bridge broccoli
        bronze brook broom brownie bubble bucket buckle budgie buffalo bugle bumblebee bundle bungalow bunny
        burrow butter buttercup butterfly button cabbage cabin cable cactus cake calendar calico camel
        camellia camera camp campfire candle candy cannon canoe canopy canteen canvas canyon cape capybara
        caramel caravan cardinal caribou carnation carousel carp carpet carrot cart cashew castle cat
        catapult caterpillar catfish cauldron cauliflower cave cavern cedar celery cellar cello chalet
        chalice chalk chameleon chamomile chapel chariot charm cheddar cheese cheetah cherry chess chest
        chestnut chickadee chicken chili chime chimney chinchilla chipmunk chive chocolate cinder cinnamon
        circle citadel citrus clam clarinet clay clearing cliff cloak clock cloud clover coach coast cobbler
        cobblestone cobra cockatoo cocoa coconut cocoon cod coffee coin colibri collie colony comet compass
        composter concrete condor conduit cone cookie copper coral cork cormorant corn corner cosmos cottage
        cotton cougar courier cove cow coyote crab cradle crane crate crater crayon creek creeper crescent
        crest cricket crocodile crocus croissant crossbow crow crown crumb crystal cub cucumber cupboard
        cupcake curlew current curtain cushion custard cutlass cyclone cypress daffodil dagger dahlia daisy
        dale dandelion dawn deepslate deer delta den desert desk dewdrop diamond dill dingo dinosaur diorite
        dispenser dock dolphin dome domino donkey door dory dove dragon dragonfly drawbridge drawing dream
        drift driftwood dropper drum duck duckling dugong dune dusk dust eagle earth echo eclair eclipse
        edelweiss eel egret elder elephant elixir elk elm elytra ember emerald emu enchantment ender
        enderman endermite engine engineer envoy ermine estuary evening evergreen evoker explorer fable
        falcon farm farmer fawn feather fence fennel fern ferret ferry festival fiddle field fig finch fir
        fire firefly fireplace firework fish fisher fjord flag flagon flame flamingo flannel flask flax
        fleece fleet flicker flint flounder flower flute foal fog fondue forest forge fork fort fortress
        fossil foundry fountain fox foxglove freckle freight fresco fridge frigate fritter frog frost fruit
        fudge fungus furnace gadget gala galaxy gale galleon gallery garden gardenia gargoyle garland garlic
        garnet gate gazebo gazelle gecko gem geode geranium gerbil geyser ghast gibbon ginger gingerbread
        ginkgo giraffe glacier glade glass glen glider globe glove glowstone glyph gnome gnu goat goblet
        goblin goldfinch goldfish golem gondola goose gopher gorge gorilla gosling gourd grain granite grape
        grapefruit grass grasshopper gravel greenhouse griffin grindstone grotto grouse grove guardian guava
        guild guitar gulf gull guppy habitat haddock hail halibut hamlet hammer hammock hamster handle
        harbor hare harp harpist harvest hat hatchet haven hawk hawthorn hay haystack hazel hazelnut heart
        hearth heath heather hedge hedgehog helmet herald herb hermit heron herring hibiscus hickory
        highland hill hillside hippo hive hobbit hoglin hollow holly honey honeycomb hoof hopper horizon
        hornet horse hound house hummingbird hut hyacinth hydra hyena ibex ibis iceberg icicle icing iguana
        impala incense indigo inkwell inlet inn insect iris iron island islet ivory ivy jackal jackdaw
        jackrabbit jade jaguar jam jar jasmine jasper jay jelly jellyfish jerboa jester jetty jewel jigsaw
        journal journey jubilee jug juggler juice jukebox jungle juniper kale kangaroo kayak keeper kelp
        kernel kestrel kettle key keyhole kingdom kingfisher kiosk kite kitten kiwi knapsack knight knoll
        knot koala koi kraken krill kumquat laboratory lace lacquer ladder ladle ladybug lagoon lake lamb
        lamp lamprey lance landing landmark lane lantern lapis larch lark lasso lattice laurel lava lavender
        lawn leaf lectern leek legend lemming lemon lemonade lemur lens lentil leopard lettuce lever library
        lichen lighthouse lilac lily lime linden lion lizard llama lobster locket lodestone lodge loft log
        lollipop longboat lookout loom loon loop lotus lullaby lumberjack lupine lute lynx lyre macaroni
        macaroon macaw machine mackerel magma magnet magnolia magpie mahogany mammoth manatee mandolin mango
        mangrove manor mansion mantis map maple marble mare marigold marina marlin marmalade marmot marsh
        marshmallow marten mascot mask mason mast mastiff maze meadow medal medley meerkat melody melon
        meringue mermaid mesa meteor midge midnight milk mill miller millet mimosa minecart miner mineral
        minnow mint mirage mirror mist mitten moat mockingbird mole molehill monarch mongoose monkey
        monolith monsoon monument moon moonbeam moonstone moose mooshroom morel morning mosaic moss moth
        mountain mouse muffin mulberry mule mural museum mushroom music musician muskox mussel mustang
        mustard mystery myth nacho napkin narwhal nautilus nebula necklace nectar nectarine needle nest
        nether netherite nettle newt night nightingale noodle nook north notebook nougat nova nugget nursery
        nutcracker nuthatch nutmeg nymph oak oar oasis oat oatmeal oboe observatory observer obsidian ocean
        ocelot octagon octopus olive omelet onion onyx opal opera orange orangutan orbit orchard orchestra
        orchid oregano oriole osprey ostrich otter outpost oven owl owlet ox oyster paddle paddock pagoda
        painter painting pair palace palette palm pancake panda panther pantry papaya paper paprika parade
        parasol parchment park parrot parsley parsnip partridge party passage pasta pastel pasture patch
        path patio pavilion paw peach peacock peak peanut pear pearl pebble pecan pegasus pelican pen pencil
        pendant penguin peony pepper perch percolator peridot periwinkle pesto petal petrel petunia pewter
        phantom pheasant phoenix piano piccolo pickaxe pickle picnic pie pier pig pigeon piglin pigment
        pilgrim pillager pilot pinball pine pineapple pinecone pinnacle pinwheel pioneer pirate pistachio
        piston pixel pixie pizza plain planet plank plankton plate plateau platypus playground plaza plover
        plow plum plume plush pocket poem poet polenta pollen pond pony poodle popcorn poplar poppy
        porcelain porch porcupine porpoise porridge port portal postcard potato potion potter pottery
        prairie prawn pretzel primrose prince princess prism prize promenade pudding puddle pufferfish
        puffin pug pulley puma pump pumpkin puppet puppy puzzle pyramid python quail quarry quartet quartz
        quasar quest queue quiche quill quilt quince quiver quokka rabbit raccoon racer radish raft rail
        railway rain rainbow raincoat raindrop raisin ram ramen ranch ranger rapids raptor raspberry ravager
        raven ravine ravioli redstone reed reef reindeer relic resin rhino rhubarb rhythm ribbon rice riddle
        ridge ring ripple river rivulet road robin robot rock rocket rodeo roof rook rooster root rose
        rosemary rosette rover rowan ruby rudder ruin rune runway rye saber saddle saffron saga sage sail
        sailboat sailor salad salamander salmon sand sandal sandbox sandcastle sandpiper sandstone sandwich
        sapling sapphire sardine satchel satellite saucer savanna sawmill saxophone scaffold scallop scarab
        scarecrow scarf scholar school schooner scone scooter scorpion scout scroll sculptor sea seagull
        seahorse seal seashell seaweed secret seed seedling sentinel sequoia serpent sesame shadow shallot
        shamrock shark shed sheep shell shepherd sherbet shield ship shore shovel shrew shrimp shrub shulker
        signal silk silo silver silverfish siren skate skeleton sketch ski skipper skunk sky skylark skyline
        slab sled sleigh slime sloop sloth smithy snail snapper sniffer snipe snow snowball snowdrop
        snowflake snowman soap socks sofa soil soldier solstice sonata sonnet sorbet sorrel soup spark
        sparrow spear spider spinach spindle spire spirit sponge spoon spring sprite sprout spruce spyglass
        squash squid squire squirrel stable stadium stag stair stallion star starfish starling station
        statue steam steeple stegosaurus stem stew stingray stoat stone stonecutter stork storm story strait
        strawberry stream street strider string strudel studio sturgeon sugar summit sun sunbeam sundial
        sunfish sunflower sunrise sunset surf swamp swan swift swing sword swordfish sycamore symphony syrup
        table tablet tadpole taiga tailor talon tambourine tangerine tanuki tapestry tapir tarantula target
        tavern tea teacup teapot telescope temple tent termite tern terrace terracotta theater thicket
        thimble thistle throne thrush thunder thyme tiara tide tiger timber tinker titan toad toadstool
        toast toffee tomato tome toolbox topaz torch tornado tortoise toucan tower town toybox tracker
        tractor trail trailer train trapper traveler treasure treehouse trellis triangle triceratops trident
        troll trolley trombone trophy trout trowel truffle trumpet tsunami tuff tugboat tulip tuna tundra
        tunic tunnel turbine turnip turret turtle tusk twig twilight typhoon umbrella unicorn universe
        urchin vale valley valve vanilla vase vault velvet veranda verbena vessel vex viaduct vicuna village
        villager vine vineyard viola violet violin viper vista volcano vole vortex voyage voyager vulture
        waffle wagon wagtail wall wallaby walnut walrus wanderer warbler warden warehouse warren wasabi
        watchtower water watercress waterfall waterlily watermelon watermill wattle wave weasel weaver well
        whale wharf wheat wheel whirlpool whisker whistle widget wildcat willow wind windmill window wing
        winter wisteria witch wither wizard wolf wolverine wombat wood woodland woodpecker wool workbench
        workshop wreath wren wyvern yacht yak yam yard yarn yarrow yew yogurt yucca zebra zenith zephyr
        zeppelin zinnia zither zombie zucchini
        """
}
