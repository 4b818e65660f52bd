"""The asynchronous halves of the clients, once each: many requests at a time over connections that stay open."""

import asyncio

from do_gradientai import AsyncGradientAI
from gradient import AsyncGradient
from pydo.aio import Client as AsyncPydo

from harness import DEADLINE_SECONDS, DOCUMENTED_IMAGE, DOCUMENTED_SIZE, POLL_SECONDS, fresh_name

BODY = {"region": "nyc3", "size": DOCUMENTED_SIZE, "image": DOCUMENTED_IMAGE}


async def until(look, wanted):
    async def looking():
        while await look() != wanted:
            await asyncio.sleep(POLL_SECONDS)

    await asyncio.wait_for(looking(), DEADLINE_SECONDS)


async def through_its_life(droplets):
    """One Droplet through a client of the Stainless kind; answers its number."""
    made = (await droplets.create(name=fresh_name("async"), **BODY)).droplet

    async def status():
        return (await droplets.retrieve(made.id)).droplet.status

    await until(status, "active")
    await droplets.delete(made.id)
    return made.id


def test_gradient_makes_ten_droplets_at_a_time(url, token):
    async def run():
        async with AsyncGradient(base_url=url, access_token=token, _strict_response_validation=True) as client:
            return await asyncio.gather(*(through_its_life(client.gpu_droplets) for _ in range(10)))

    assert len(set(asyncio.run(run()))) == 10


def test_do_gradientai_makes_droplets(monkeypatch, url, token):
    monkeypatch.setenv("GRADIENT_AI_BASE_URL", url)
    monkeypatch.setenv("GRADIENTAI_API_KEY", token)

    async def run():
        async with AsyncGradientAI() as client:
            return await asyncio.gather(*(through_its_life(client.gpu_droplets) for _ in range(3)))

    assert len(set(asyncio.run(run()))) == 3


def test_pydo_makes_a_droplet(tls_url, token, trust):
    async def run():
        async with AsyncPydo(token, endpoint=tls_url) as client:
            made = (await client.droplets.create(body={"name": fresh_name("async")} | BODY))["droplet"]

            async def status():
                return (await client.droplets.get(made["id"]))["droplet"]["status"]

            await until(status, "active")
            await client.droplets.destroy(made["id"])
            return (await client.droplets.get(made["id"]))["id"]

    assert asyncio.run(run()) == "not_found"
