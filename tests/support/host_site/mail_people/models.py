"""Users who sign in with their e-mail address."""

from typing import Any

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models


class PersonManager(BaseUserManager["Person"]):
    """A manager that creates users with the fields that `createsuperuser` asks for."""

    def create_superuser(self, email: str, password: str, **fields: Any) -> "Person":
        person = self.model(email=email, is_superuser=True, **fields)
        person.set_password(password)
        person.save()
        return person


class Person(AbstractBaseUser, PermissionsMixin):
    email = models.EmailField(unique=True)
    is_staff = models.BooleanField(default=True)
    USERNAME_FIELD = "email"
    objects = PersonManager()
