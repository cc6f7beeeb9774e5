"""LUKS containers for encrypted volumes, made by qemu-img.

The passphrase goes to qemu-img over its standard input: it is in no file, no
argument and no environment.
"""

import binascii

from castellan import key_manager
from oslo_config import cfg
from oslo_utils import units

from cinder.image import image_utils
from cinder.volume import volume_utils


# qemu-img measures how hard it can make the passphrase to guess, and on a busy
# host ends with "Unable to get accurate CPU usage".
_ATTEMPTS = 4


def create(execute, context, volume, path):
    """Makes a container at ``path`` with room for the volume; it is sparse."""
    passphrase, options = _parameters(context, volume)
    execute('qemu-img', 'create', '-f', 'luks', *_secret(), '-o', options,
            path, str(int(volume.size) * units.Gi),
            process_input=passphrase, attempts=_ATTEMPTS)


def encrypt(execute, context, volume, source, path):
    """Makes a container at ``path`` with the content of the RAW ``source``."""
    passphrase, options = _parameters(context, volume)
    execute('qemu-img', 'convert', '-f', 'raw', '-O', 'luks', *_secret(),
            '-o', options, source, path, process_input=passphrase,
            attempts=_ATTEMPTS)


def _secret():
    return '--object', 'secret,id=luks_sec,format=raw,file=/dev/stdin'


def _parameters(context, volume):
    """The passphrase, and qemu-img's options for the type's cipher."""
    encryption = volume_utils.check_encryption_provider(volume, context)
    key = key_manager.API(cfg.CONF).get(context,
                                        encryption['encryption_key_id'])
    passphrase = binascii.hexlify(key.get_encoded()).decode('utf-8')
    spec = image_utils.decode_cipher(encryption['cipher'],
                                     encryption['key_size'])
    options = ('key-secret=luks_sec,cipher-alg=%(cipher_alg)s,'
               'cipher-mode=%(cipher_mode)s,ivgen-alg=%(ivgen_alg)s' % spec)
    return passphrase, options
