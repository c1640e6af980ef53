"""An S3 store of Debian's OpenStack Swift: its account, container, object and proxy servers in one process, with files in FOLDER.

python3 object-store.py FOLDER PORT READ_ONLY_PORT

Two proxies lead to the same objects; that of READ_ONLY_PORT has the middleware read_only. Buckets: harbour-snapshots, which is empty, and full,
whose quota is 10 bytes. swift.ts beside this file names the keys.
"""
import os
import sys

import eventlet

eventlet.monkey_patch()

from eventlet import wsgi
from swift.common import utils
from swift.common.ring import RingBuilder
from swift.common.swob import Request
from swift.common.wsgi import loadapp

folder, port, read_only_port = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
ACCOUNT = 'AUTH_test'


def write(name, text):
    path = os.path.join(folder, name)
    with open(path, 'w') as file:
        file.write(text)
    return path


class Cache:
    """In place of memcached, which tempauth wants to be there."""

    def __init__(self):
        self.known = {}

    def get(self, key, *_, **__):
        return self.known.get(key)

    def set(self, key, value, *_, **__):
        self.known[key] = value

    def delete(self, key, *_, **__):
        self.known.pop(key, None)


def serve(path, listener):
    app, cache = loadapp(path), Cache()
    eventlet.spawn(wsgi.server, listener, lambda env, start: app({**env, 'swift.cache': cache}, start), log_output=False)


write('swift.conf', '[swift-hash]\nswift_hash_path_suffix = skerry\n[storage-policy:0]\nname = one\ndefault = yes\n')
utils.set_swift_dir(folder)
os.makedirs(os.path.join(folder, 'node', 'disk'), exist_ok=True)
common = f'''[DEFAULT]
swift_dir = {folder}
devices = {folder}/node
mount_check = false
bind_ip = 127.0.0.1
user = root
'''
for kind in ('account', 'container', 'object'):
    listener = eventlet.listen(('127.0.0.1', 0))
    builder = RingBuilder(1, 1, 0)
    address = {'ip': '127.0.0.1', 'port': listener.getsockname()[1]}
    builder.add_dev({'id': 0, 'region': 1, 'zone': 1, 'weight': 1.0, 'device': 'disk', 'meta': '',
                     'replication_ip': '127.0.0.1', 'replication_port': address['port'], **address})
    builder.rebalance()
    builder.get_ring().save(os.path.join(folder, f'{kind}.ring.gz'))
    app = f'[pipeline:main]\npipeline = {kind}-server\n[app:{kind}-server]\nuse = egg:swift#{kind}\n'
    serve(write(f'{kind}.conf', common + app), listener)

proxy = '''[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
allow_account_management = true
'''
inner = loadapp(write('inner.conf', common + '[pipeline:main]\npipeline = proxy-server\n' + proxy))
for bucket, headers in (('harbour-snapshots', {}), ('full', {'X-Container-Meta-Quota-Bytes': '10'})):
    response = Request.blank(f'/v1/{ACCOUNT}/{bucket}', environ={'REQUEST_METHOD': 'PUT'}, headers=headers).get_response(inner)
    if response.status_int != 201:
        sys.exit(f'{bucket}: {response.status}')

outer = '''[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
user_test_stranger = looking
[filter:s3api]
use = egg:swift#s3api
location = eu-north-1
storage_domain = s3.harbour.example
[filter:container-quotas]
use = egg:swift#container_quotas
[filter:read_only]
use = egg:swift#read_only
read_only = true
'''
for number, more in ((port, ''), (read_only_port, 'read_only ')):
    pipeline = f'[pipeline:main]\npipeline = s3api tempauth {more}container-quotas proxy-server\n'
    serve(write(f'proxy-{number}.conf', common + pipeline + outer + proxy), eventlet.listen(('127.0.0.1', number)))
eventlet.sleep(10 ** 8)
