# The administrator that openIMIS brings has a password that everybody knows: set the Secret's instead, by openIMIS's own
# code. Run by `manage.py shell`.
from core.models import InteractiveUser

name = open("/etc/plinth-administrator/username").read().strip()
given = open("/etc/plinth-administrator/password").read().strip()

for user in InteractiveUser.objects.filter(login_name=name, validity_to__isnull=True):
    if user.check_password(given):
        print(f"{name}: the password is the Secret's")
    else:
        user.set_password(given)
        user.save()
        print(f"{name}: the password is now the Secret's")
