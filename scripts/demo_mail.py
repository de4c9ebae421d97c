"""The hand-written pieces of the demo data set (scripts/make_demo_data.py puts them together).

{p} stands for a product and {o} for an order number. The last HELD_OUT situations of a category are
used for the held-out split only, so that no body is in both. Everything here was written for this
project; company, products, people and orders are invented.
"""

HELD_OUT = 7  # situations a category keeps for the held-out split

PRODUCTS = [
    "Lumo Lamp", "Tidal Kettle", "Breeze Fan", "Nook Speaker", "Orbit Camera", "Fern Sensor",
    "Dusk Blind", "Ember Heater", "Drift Vacuum", "Quill Tablet", "Halo Doorbell", "Pebble Scale",
    "Wren Alarm", "Cobalt Router", "Maple Mixer", "Sprout Planter", "Glide Scooter", "Tempo Watch",
    "Latch Lock", "Mist Humidifier", "Solar Hub", "Polar Fridge", "Crisp Oven", "Reel Projector",
]

FIRST_NAMES = """Marta Tomas Aisha Kenji Olivia Priya Samuel Ines Dmitri Grace Wei Fatima Lars Chloe
Mateo Nadia Oscar Yuki Hannah Rafael Leila Bruno Sofia Kwame Elena Ivan Ruth Diego Amara Peter Mei
Jonas Carla Omar Freya Luis Anika Hugo Zara Felix Nora Emeka Paula Arjun Lucy Stefan Noor Greta
Theo Vera Malik Astrid Colin Rosa Tariq June Henrik Dalia Marcus Ida""".split()

LAST_NAMES = """Lindqvist Novak Rahman Tanaka Brooks Nair Whitfield Duarte Petrov Okafor Chen Haddad
Berg Laurent Rojas Kowalski Finch Mori Keller Costa Farahani Moretti Marin Mensah Popov Sokolov
Ashby Herrera Diallo Hartley Zhou Weber Ricci Aziz Dahl Ortega Sharma Lefevre Malik Brandt Quinn
Eze Santos Mehta Pryce Ilic Hamdan Vogel Barnes Lund Yilmaz Hale Nowak Castillo Iqbal Frost Moen
Sayed Grant Holm""".split()

SITUATIONS = {
    "billing": [
        "I was charged twice for the {p}, two identical amounts one day apart.",
        "My card statement shows 89.00 for the {p}, but the shop page said 79.00.",
        "You refunded only half of what I paid for the {p}. Where is the other half?",
        "The invoice for my {p} has the wrong VAT number on it. Could you issue a new one?",
        "I sent the {p} back three weeks ago and have not seen the money on my account yet.",
        "The discount code SPRING was accepted for the {p}, yet I paid the full price.",
        "Please explain the extra fee of 4.99 on the bill for my {p}.",
        "We are a school and should be exempt from tax, but tax was added to the {p} invoice.",
        "I cancelled the {p} plan in March and you took the payment for April anyway.",
        "Can I get a receipt for the {p} made out to my company instead of to me?",
        "The payment for the {p} failed on your page but my bank says the money has gone.",
        "There is a charge for a {p} on my card. I never bought one!",
        "I chose to pay for the {p} in three parts, and you took the whole sum at once.",
        "My bill lists two {p} units. I ordered one and got one.",
        "The gift card I used for the {p} was emptied although the purchase did not go through.",
        "The price of the {p} dropped the day after I bought it. Will you pay back the difference?",
        "You billed me in dollars for the {p}, I was promised euros.",
        "I'm still paying the monthly fee for a {p} that I returned to you.",
        "My accountant needs the invoice for the {p}, the link in your mail leads nowhere.",
        "Your reminder says that the {p} has not been paid. I paid it on the 3rd, see my bank.",
        "The student discount is missing on the bill for the {p}.",
        "I upgraded the plan of my {p} and was billed for the old and the new one.",
        "Shipping was supposed to be free with the {p}, yet the invoice has 6.50 for it.",
        "Someone at your end typed a wrong amount: 1290 instead of 129 for the {p}.",
        "My expired card is still on file for the {p} plan and the renewal keeps failing.",
        "The refund for the {p} went to a card that I closed last year.",
        "I would like to pay the {p} by bank transfer, but your invoice shows no bank details.",
        # held out from here on
        "The sum on the bill for my {p} is 20 more than what the basket showed.",
        "Twice this month you took the fee for the {p} plan from my card.",
        "I was told that I would get my money back for the broken {p}; nothing has come so far.",
        "The invoice for the {p} names the wrong company, we need a corrected one for our books.",
        "My voucher for the {p} was not deducted from the total.",
        "Your system says my payment for the {p} is late, but it left my bank last week.",
        "I returned a {p} and the refund is smaller than what I paid.",
    ],
    "bug": [
        "Since the last update the {p} restarts every few minutes.",
        "The app shows a white screen as soon as I open the page of the {p}.",
        "My {p} loses the wifi connection whenever I use the microwave.",
        "The {p} makes a loud clicking noise and then switches itself off.",
        "After the firmware update the timer of the {p} is off by one hour.",
        "The display of the {p} flickers and then goes black.",
        "Pressing the main button of my {p} does nothing at all.",
        "The app crashes with error 502 when I try to rename the {p}.",
        "The {p} ignores the schedule I set; it starts at night instead of in the morning.",
        "The battery of the {p} is empty after two hours, it used to last two days.",
        "My {p} reports 80 degrees in a room that has 20.",
        "The {p} cannot be found by the app any more, although both are on the same network.",
        "Voice control turns on the {p}, but never turns it off.",
        "My {p} froze during the update and now blinks red all the time.",
        "The history page of the {p} shows data from last year only.",
        "Notifications from the {p} arrive hours late, or not at all.",
        "The {p} stops working as soon as I change the language to Spanish.",
        "Two of my {p} units mix up their settings when both are switched on.",
        "The {p} got very hot and there was a smell of burnt plastic.",
        "When I export the log of the {p}, the file is empty.",
        "The volume of the {p} jumps to the maximum all by itself.",
        "Every time the power fails the {p} forgets all of its settings.",
        "The app says that the {p} is offline while it is running right next to me.",
        "The touch panel on my {p} reacts to the wrong fields.",
        "Version 3.2 of the app drains my phone when the {p} is paired.",
        "The {p} hangs at 99 percent while installing the update.",
        "The night mode of the {p} will not switch on any more.",
        # held out from here on
        "My {p} shuts down in the middle of every job, without any message.",
        "The newest app version does not list my {p} any more, the old one did.",
        "The status light of the {p} stays orange and the device does not answer.",
        "The {p} sends me the same alert about fifty times a day.",
        "Since yesterday the {p} shows error E7 and beeps.",
        "The clock on the {p} runs backwards after the update, really.",
        "I cannot change any setting of the {p}; the save button stays grey.",
    ],
    "shipping": [
        "My {p} should have come last Tuesday and the tracking page has not changed since.",
        "The parcel with the {p} arrived crushed and wet.",
        "You sent me a toaster instead of the {p} that I ordered.",
        "The courier says the {p} was handed to a neighbour, but nobody here has it.",
        "Please send the {p} to my office, I moved and the old address is wrong.",
        "The box of the {p} came without the power cable.",
        "Tracking says delivered, there is no {p} anywhere near my door.",
        "The {p} is stuck in customs and they ask me for papers from you.",
        "I ordered a blue {p}, and the one in the box is green.",
        "Only one of the two {p} boxes has been delivered.",
        "The driver could not find our house, so the {p} went back to your depot.",
        "Could the {p} come on a Saturday? Nobody is home on other days.",
        "The return label for the {p} does not print, the file is damaged.",
        "The {p} arrived with a broken glass panel, the box had no padding.",
        "I have been waiting five weeks for the {p} and got no word from you.",
        "The {p} was sent to my old flat although I changed the address in time.",
        "The tracking number for the {p} does not exist, says the courier.",
        "I got three {p} parcels, I only want one. How do I send the others back?",
        "The parcel was opened on the way and the {p} inside was missing.",
        "You promised express delivery for the {p}, it has been eight days.",
        "The {p} lies in a pickup shop 40 km away, please have it sent to my home.",
        "The manual and the screws were missing from the box with the {p}.",
        "Nobody came to fetch the {p} that I am returning, I waited all day.",
        "My {p} has been 'out for delivery' for four days in a row.",
        "The label on the parcel had somebody else's name, but the {p} inside is mine.",
        "Please hold the {p} back until the 20th, we are on holiday.",
        "The seal of the {p} box was broken and it looks like a used one.",
        # held out from here on
        "According to the courier my {p} left the warehouse ten days ago; it never got here.",
        "The {p} came today with a big dent, the carton was torn.",
        "A {p} in the wrong size is in the parcel, I need the bigger one.",
        "The delivery of the {p} went to number 14, I live at number 41.",
        "One part of the {p} was not in the box, the charger.",
        "Where is my {p}? The promised date has passed and I hear nothing.",
        "The parcel service lost the {p}, they told me to ask you for another one.",
    ],
    "account": [
        "I forgot the password I use for the {p} app and the reset mail never arrives.",
        "Please change the e-mail address of the account that my {p} is linked to.",
        "My account was locked after I paired the {p} with a new phone.",
        "I bought a used {p} and it is still tied to the account of the previous owner.",
        "Please delete my account and all the data that the {p} has collected.",
        "I cannot log in to the {p} app, it says that my user does not exist.",
        "The code for the two-step login never reaches me, so I can't get at my {p}.",
        "There are logins from another country on the account with my {p}. It was not me.",
        "My wife should be able to control the {p} too, how do I add her to my account?",
        "I have two accounts by accident, could you merge them so that the {p} is in one?",
        "My surname has changed, please correct it in the account for the {p}.",
        "The app logs me out each time I open the {p} page.",
        "I typed my e-mail address wrong when I registered the {p}, and now I can't confirm it.",
        "I have a new phone number. The old one still gets the codes for the {p}.",
        "An ex-colleague still has access to the {p} in our office, take his rights away please.",
        "The {p} vanished from my account after I changed my password.",
        "I want to move the {p} from my private account to the one of my company.",
        "Your site says that my profile is incomplete and will not let me register the {p}.",
        "Someone changed the password of my account and now opens my {p} app. Please lock it.",
        "How do I close the guest access that I gave to the {p}?",
        "My account shows another person's {p} and I can even switch it on.",
        "I can't accept the new terms in the {p} app, the button sends me back to the login.",
        "Please stop the newsletter, I only want mails about my {p}.",
        "My son set up the {p} with a made-up birthday and now the account is blocked.",
        "The login page for the {p} keeps saying too many attempts, although I tried once.",
        "Please send me a copy of the data stored in my account for the {p}.",
        "I lost the phone with the login app, how do I get back to my {p}?",
        # held out from here on
        "The password reset link for the {p} app says that it has expired, every time.",
        "Please remove my old e-mail address from the account of the {p}.",
        "I am locked out of my account and cannot reach the {p}.",
        "The {p} is registered to my flatmate, who moved out. I want it on my own account.",
        "Somebody I do not know is listed as a user of my {p}.",
        "I want my account gone, I have sold the {p}.",
        "The app does not take my new password, so I cannot open the {p} page.",
    ],
    "question": [
        "Does the {p} work with 110 volts? We are moving to Canada.",
        "Is the {p} safe to use in a bathroom?",
        "How long is the warranty for the {p}, and does it cover the battery?",
        "Which filter fits the {p}, the small or the large one?",
        "Can the {p} be used without the app?",
        "Before I buy: how loud is the {p} at the lowest setting?",
        "What is the difference between the old and the new {p}?",
        "Do you sell the {p} in white as well?",
        "How do I clean the {p} without scratching it?",
        "Is there a discount if our club buys ten {p} units?",
        "Can I connect two {p} units to one phone?",
        "How much power does the {p} draw when it is idle?",
        "Will the {p} be sold in Norway this year?",
        "Does the {p} keep any recordings, and for how long?",
        "My mother is 84, do you think that she could handle the {p} by herself?",
        "Where can I find the manual of the {p} in French?",
        "Are spare parts for the {p} still made?",
        "What does the little blue light on the {p} mean?",
        "Does the {p} come with batteries, or do I have to buy them?",
        "Can I leave the {p} outside in winter?",
        "Is the {p} made of recycled material?",
        "Which screws do I need to fix the {p} to a brick wall?",
        "Could I see a {p} in one of your shops in Leeds?",
        "Does the {p} understand Portuguese?",
        "Is there a version of the {p} for left-handed people?",
        "How often should I descale or service the {p}?",
        "Will my old charger fit the new {p}?",
        # held out from here on
        "What is the weight of the {p}, with its stand?",
        "Can children use the {p} on their own?",
        "Does the {p} need an internet connection to work?",
        "Which colours of the {p} can I get?",
        "Would the {p} be strong enough for a room of 40 square metres?",
        "Is it possible to rent a {p} for a month?",
        "How do I turn off the beep of the {p}?",
    ],
}

# What a mail says about time. Medium is a mail that says nothing, or asks for an answer this week.
URGENCY = {
    "high": [
        "This is urgent, please answer today.", "I need this solved today.",
        "Please hurry, we open in two hours.", "It can't wait until tomorrow!",
        "URGENT.", "I need an answer within the hour.", "Please act immediately.",
        "We are stuck until you answer, so please do it right now.",
        "My flight leaves tonight, so it has to be today.", "Call me back at once, please.",
        "This is an emergency for us.", "As soon as humanly possible please, it is critical.",
    ],
    "medium": [
        "", "", "", "", "", "Please look into it this week.", "An answer in the next days would help.",
        "I hope to hear from you this week.", "Please get back to me by Friday.", "Please advise.",
        "Could you check?",
    ],
    "low": [
        "There is no hurry.", "No rush at all.", "Whenever you have a moment.",
        "It is not urgent.", "Take your time.", "Any time this month is fine.",
        "It can wait, I just wanted to let you know.", "Nothing pressing, answer when you can.",
        "This is low priority for me.", "No need to answer soon.", "I'm in no hurry with this.",
    ],
}

GREETINGS = [
    "Hello,", "Hi,", "Hi there,", "Dear support team,", "Good morning,", "Hey,", "Dear Sir or Madam,",
    "Hello support,", "Good evening,", "To whom it may concern,", "", "", "", "Hi team,",
]

ORDER_SENTENCES = [
    "My order number is {o}.", "Order {o}.", "The order is {o}.", "It was order {o}.", "(order {o})",
    "Ref: {o}", "Order no. {o}, if that helps.", "You will find it under {o}.", "See order {o}.",
    "That's {o} in your system.",
]

SIGNATURES = [
    "Best regards, {c}", "Thanks, {c}", "{c}", "Kind regards\n{c}", "Cheers, {c}", "- {c}",
    "Thank you!\n{c}", "Yours sincerely, {c}", "Regards, {c}", "Many thanks, {c}", "Greetings, {c}",
]

INTRODUCTIONS = [
    "My name is {c}.", "This is {c}.", "{c} here.", "I am {c}, a customer of yours.", "It's {c} again.",
]

# Remarks that carry no field: the model has to look past them.
ASIDES = [
    "I like your shop otherwise.", "I have bought from you for years.", "My neighbour has the same one.",
    "I already looked at your help page.", "We bought it as a present.", "Sorry for my English.",
    "I hope this is the right address.", "A photo is attached.", "The chat on your site was closed.",
    "It worked well for a year.", "I wrote to you before about something else.", "My dog likes it too.",
]
