#!/usr/bin/env python3
"""Writes configs/demo_data/{train,heldout}.jsonl: support e-mails and the tickets they become.

Deterministic: the same script writes the same bytes (standard library only). The pieces are in
demo_mail.py. A mail is put together in one of several shapes (letter, subject line, one-liner, no
greeting), some in lower case or with typing errors; every field of its ticket can be read from it.
Usage: scripts/make_demo_data.py [OUT_DIR]
"""

import json
import pathlib
import random
import sys

import demo_mail as mail

NUM_TRAIN_PER_CATEGORY = 64
NUM_HELD_OUT_PER_CATEGORY = 8
SYSTEM = "Write the ticket for this e-mail."
# Share of mails that name an order; the others have "order_id": null.
ORDER_SHARE = {"billing": 0.85, "bug": 0.6, "shipping": 0.9, "account": 0.35, "question": 0.25}


# Whole mails, each written by hand, with their tickets: shapes that the generator does not make.
WRITTEN_TRAIN = [
    ("Smoke came out of the Crisp Oven ten minutes ago. I pulled the plug, what now?? Answer at once. "
     "Ruth Hartley, order A-5521", "Crisp Oven", "bug", "high", "A-5521", "Ruth Hartley"),
    ("where is my glide scooter. order A-7302. been a month. kwame eze",
     "Glide Scooter", "shipping", "medium", "A-7302", "Kwame Eze"),
    ("Hi! Thinking about a Polar Fridge for our van. Does it run on 12 volts? I buy in summer, so no "
     "hurry. Freya Moen", "Polar Fridge", "question", "low", None, "Freya Moen"),
    ("Subject: Invoice A-4410\nPlease put our address on it: Hale Ltd, 3 Mill Road. The Solar Hub is for "
     "our workshop. Any day this month will do.\nColin Hale", "Solar Hub", "billing", "low", "A-4410",
     "Colin Hale"),
    ("Someone is opening my front door with my own Latch Lock and it is not me. Block the account now! "
     "Noor Iqbal", "Latch Lock", "account", "high", None, "Noor Iqbal"),
    ("Good day, I, Henrik Lund, bought a Reel Projector (A-1187). Its picture is upside down since Monday, "
     "which my kids find great. Take your time.", "Reel Projector", "bug", "low", "A-1187",
     "Henrik Lund"),
    ("You people charged me for FOUR Maple Mixers. One! I wanted one! Order A-9034. Money back today "
     "please. Rosa Castillo", "Maple Mixer", "billing", "high", "A-9034", "Rosa Castillo"),
    ("quick one: can the tempo watch swim? thx, theo grant",
     "Tempo Watch", "question", "medium", None, "Theo Grant"),
    ("A-6650, the Sprout Planter: box came full of somebody's books. Nice books, but still. No hurry with "
     "the swap. Greta Vogel", "Sprout Planter", "shipping", "low", "A-6650", "Greta Vogel"),
    ("I'm Emeka Santos. New phone, new number, and the Wren Alarm app wants a code from the old one. "
     "I would like that fixed this week.", "Wren Alarm", "account", "medium", None, "Emeka Santos"),
]
WRITTEN_HELD_OUT = [
    ("The Ember Heater is sparking. Order A-3316. Tell me right now if it is safe! Ida Frost",
     "Ember Heater", "bug", "high", "A-3316", "Ida Frost"),
    ("two months for a pebble scale?? order A-8125. please check. omar weber",
     "Pebble Scale", "shipping", "medium", "A-8125", "Omar Weber"),
    ("Subject: receipt\nCould you mail me a receipt for the Quill Tablet, A-2709? My tax papers are due "
     "next year, so no rush.\nVera Barnes", "Quill Tablet", "billing", "low", "A-2709", "Vera Barnes"),
    ("I sold my flat and with it the Dusk Blind. How do I take it off my profile? Whenever you have time. "
     "Felix Moretti", "Dusk Blind", "account", "low", None, "Felix Moretti"),
    ("We want to put a Cobalt Router in our church hall. How many phones can use it at once? "
     "Amara Diallo", "Cobalt Router", "question", "medium", None, "Amara Diallo"),
]


def misspell(rng, text):
    """Swaps two inner letters in one or two words; names, numbers and marks stay as they are."""
    words = text.split(" ")
    candidates = [i for i, word in enumerate(words) if word.isalpha() and word.islower() and len(word) > 4]
    for i in rng.sample(candidates, min(len(candidates), rng.choice([1, 1, 2]))):
        at = rng.randrange(1, len(words[i]) - 2)
        word = words[i]
        words[i] = word[:at] + word[at + 1] + word[at] + word[at + 2:]
    return " ".join(words)


def compose(rng, body, order, urgency):
    """The mail with its slots {p}, {o} and {c} still open."""
    sentences = [body]
    if rng.random() < 0.3:
        sentences.insert(rng.choice([0, 1]), rng.choice(mail.ASIDES))
    subject = ""
    if order and rng.random() < 0.25:
        subject = rng.choice(["Subject: {p}, order {o}\n", "Subject: order {o}\n", "Re: {o}\n"])
    elif order:
        sentences.insert(rng.randrange(len(sentences) + 1), rng.choice(mail.ORDER_SENTENCES))
    haste = rng.choice(mail.URGENCY[urgency])
    if haste:
        sentences.insert(len(sentences) if rng.random() < 0.7 else 0, haste)
    greeting = rng.choice(mail.GREETINGS)
    if rng.random() < 0.2:
        sentences.insert(0, rng.choice(mail.INTRODUCTIONS))
        signature = ""
    else:
        signature = rng.choice(mail.SIGNATURES)
    line = rng.choice(["\n", "\n", " "])
    text = subject + line.join(part for part in (greeting, " ".join(sentences), signature) if part)
    style = rng.random()
    if style < 0.12:
        return text.lower(), True
    return (misspell(rng, text) if style < 0.3 else text), False


def make_mail(rng, category, body, customer):
    order = f"A-{rng.randrange(1000, 9999)}" if rng.random() < ORDER_SHARE[category] else None
    urgency = rng.choice(["low", "medium", "high"])
    product = rng.choice(mail.PRODUCTS)
    text, lower = compose(rng, body, order, urgency)
    shown = (lambda name: name.lower()) if lower else (lambda name: name)
    text = text.replace("{p}", shown(product)).replace("{c}", shown(customer)).replace("{o}", order or "")
    return text, (product, category, urgency, order, customer)


def to_record(text, ticket):
    product, category, urgency, order, customer = ticket
    answer = {"product": product, "category": category, "urgency": urgency, "order_id": order,
              "customer": customer}
    return {"messages": [
        {"role": "system", "content": SYSTEM},
        {"role": "user", "content": text},
        {"role": "assistant", "content": json.dumps(answer, separators=(",", ":"))},
    ]}


def make_split(rng, situations, written, per_category, customers):
    """`per_category` mails of each category, the hand-written ones counted; each body equally often."""
    records = [(text, tuple(ticket)) for text, *ticket in written]
    for category, bodies in situations.items():
        wanted = per_category - sum(ticket[1] == category for _, ticket in records)
        for i in range(wanted):
            records.append(make_mail(rng, category, bodies[i % len(bodies)], customers.pop()))
    rng.shuffle(records)
    assert len({text for text, _ in records}) == len(records)
    return [to_record(text, ticket) for text, ticket in records]


def main():
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else (
        pathlib.Path(__file__).resolve().parent.parent / "configs" / "demo_data")
    rng = random.Random(20240607)
    customers = [f"{first} {last}" for first in mail.FIRST_NAMES for last in mail.LAST_NAMES]
    rng.shuffle(customers)
    train = {name: bodies[:-mail.HELD_OUT] for name, bodies in mail.SITUATIONS.items()}
    held_out = {name: bodies[-mail.HELD_OUT:] for name, bodies in mail.SITUATIONS.items()}
    splits = {
        "train": make_split(rng, train, WRITTEN_TRAIN, NUM_TRAIN_PER_CATEGORY, customers),
        "heldout": make_split(rng, held_out, WRITTEN_HELD_OUT, NUM_HELD_OUT_PER_CATEGORY, customers),
    }
    for name, records in splits.items():
        with open(out / f"{name}.jsonl", "w", encoding="utf-8", newline="\n") as file:
            file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


if __name__ == "__main__":
    main()
